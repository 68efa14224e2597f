"""A kernel of your own, judged by packproof: packproof run --candidate 'python3 my_kernel.py' --op recurrent_gated_delta_rule"""

import torch
from packproof_candidate import Candidate

candidate = Candidate("my kernel", "1.0")


@candidate.recurrent_gated_delta_rule(dtypes=["f32"])
def my_rule(q, k, v, g, beta, scale=None, initial_state=None, output_final_state=False, cu_seqlens=None,
            use_qk_l2norm_in_kernel=False):
    """FLA's signature; any body will do. This one is plain torch, token by token."""
    if use_qk_l2norm_in_kernel:
        q, k = (x * torch.rsqrt((x * x).sum(-1, keepdim=True) + 1e-6) for x in (q, k))
    q, k = (x.repeat_interleave(v.shape[2] // q.shape[2], dim=2) for x in (q, k))
    rows = [(b, 0, q.shape[1]) for b in range(q.shape[0])]
    if cu_seqlens is not None:
        rows = [(0, begin, end) for begin, end in zip(cu_seqlens.tolist(), cu_seqlens.tolist()[1:])]
    outputs, states = [v.new_zeros(v.shape[2:]) for _ in range(v.shape[0] * v.shape[1])], []
    for n, (b, begin, end) in enumerate(rows):
        state = q.new_zeros(v.shape[2], q.shape[3], v.shape[3]) if initial_state is None else initial_state[n]
        for t in range(begin, end):
            state = state * g[b, t].exp()[:, None, None]
            error = beta[b, t][:, None] * (v[b, t] - torch.einsum("hkv,hk->hv", state, k[b, t]))
            state = state + k[b, t][..., None] * error[:, None]
            outputs[b * v.shape[1] + t] = scale * torch.einsum("hkv,hk->hv", state, q[b, t])
        states.append(state)
    output = torch.stack(outputs).view(v.shape) if outputs else torch.zeros_like(v)
    return output, torch.stack(states) if output_final_state else None


candidate.serve()
