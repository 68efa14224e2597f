"""flash-linear-attention as a candidate: on a GPU where there is one, else in Triton's interpreter."""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
from typing import Any, Callable

import numpy as np

from . import device, interpreter
from .call import Call, NotSupported
from .candidate import Approximation, Candidate, Limits

HOPPER_REFUSAL = "on Hopper GPUs produces incorrect results"  # fla/ops/common/chunk_o.py, with Triton 3.4 to 3.7.0
GROUPED_CHUNK_SINCE = (0, 5)  # First release whose chunk_gated_delta_rule documents HV > H.


def _has_tf32() -> bool:
    """As fla.utils decides it (IS_TF32_SUPPORTED)."""
    import torch

    return torch.version.cuda is not None and torch.cuda.get_device_capability()[0] >= 8


def _version() -> str:
    try:
        return importlib.metadata.version("fla-core")
    except importlib.metadata.PackageNotFoundError:
        raise SystemExit("flash-linear-attention is not installed: pip install flash-linear-attention") from None


def first_module(*names: str) -> Any:
    """Modules moved between releases."""
    for name in names:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if not name.startswith(error.name or ""):
                raise
    raise SystemExit(f"expected flash-linear-attention with one of {', '.join(names)}, found none")


class FlaCandidate:
    """FLA's public functions under the names and layouts of the protocol."""

    def __init__(self, on_gpu: bool) -> None:
        if not on_gpu:
            interpreter.enable()
        from fla.ops import gated_delta_rule

        self.device = "cuda" if on_gpu else "cpu"
        self.chunk = gated_delta_rule.chunk_gated_delta_rule
        self.recurrent = gated_delta_rule.fused_recurrent_gated_delta_rule
        conv = first_module("fla.modules.convolution", "fla.modules.causal_conv1d")
        self.conv, self.conv_update = conv.causal_conv1d, conv.causal_conv1d_update
        norm = first_module("fla.modules.fused_norm_gate", "fla.modules.norm.fused_norm_gate")
        self.norm = norm.rms_norm_gated
        if not on_gpu:
            interpreter.finish("fla")

    def delta_rule(self, function: Callable[..., Any]) -> Callable[[Call], dict[str, np.ndarray]]:
        from .torch_ops import delta_rule, keywords_of, refusing

        keywords = keywords_of(function)

        def judged(call: Call) -> dict[str, np.ndarray]:
            try:
                return delta_rule(call, function, keywords, self.device)
            except RuntimeError as error:
                if HOPPER_REFUSAL in str(error):
                    raise NotSupported(str(error)) from error
                raise

        return refusing(judged)

    def delta_rule_update(self, call: Call) -> dict[str, np.ndarray]:
        """One token per sequence: FLA takes a batch of states, so slots are gathered and put back."""
        import torch

        from .torch_ops import to_numpy, to_torch

        if "a" in call.inputs:
            raise NotSupported("the recurrent rule is called with g, not with a, A_log and dt_bias")
        tensors = {name: to_torch(call, name, self.device) for name in call.inputs}
        pool = tensors["state"].clone()
        slots, used = _slots(tensors, pool)
        step = {name: tensors[name][used].unsqueeze(1) for name in ("q", "k", "v", "g", "beta")}
        output = torch.zeros_like(tensors["v"])
        if used.numel():
            found, states = self.recurrent(
                **step, scale=call.attribute("scale", 0.0) or tensors["k"].shape[-1] ** -0.5,
                initial_state=pool[slots[used]], output_final_state=True,
                use_qk_l2norm_in_kernel=call.attribute("qk_l2norm", True))
            output[used] = found.squeeze(1)
            pool[slots[used]] = states.to(pool.dtype)
        return {"output": to_numpy(call, "output", output), "state": to_numpy(call, "state", pool)}

    def convolution(self, call: Call) -> dict[str, np.ndarray]:
        import torch

        from .torch_ops import Gradients, needs_final_state, to_torch

        if "seq_idx" in call.inputs:
            raise NotSupported("FLA's convolution takes cu_seqlens, not seq_idx")
        run = Gradients(call, ("x", "weight", "bias", "initial_state"), self.device)
        state = run.inputs["initial_state"]
        output, final = self.conv(
            x=run.inputs["x"], weight=run.inputs["weight"], bias=run.inputs["bias"],
            # FLA keeps W columns, the oldest of which no later token reads.
            initial_state=None if state is None else torch.nn.functional.pad(state, (1, 0)),
            output_final_state=needs_final_state(call), activation=_activation(call),
            cu_seqlens=to_torch(call, "cu_seqlens", self.device))
        return run.results({"output": output, "final_state": None if final is None else final[..., 1:]})

    def convolution_update(self, call: Call) -> dict[str, np.ndarray]:
        import torch

        from .torch_ops import to_numpy, to_torch

        tensors = {name: to_torch(call, name, self.device) for name in call.inputs}
        pool = tensors["conv_state"].clone()
        slots, used = _slots(tensors, pool)
        output = torch.zeros_like(tensors["x"])
        if used.numel():
            columns = torch.nn.functional.pad(pool[slots[used]], (1, 0)).contiguous()
            found, columns = self.conv_update(
                tensors["x"][used].contiguous(), cache=columns, weight=tensors["weight"].contiguous(),
                bias=tensors.get("bias"), activation=_activation(call))
            output[used] = found
            pool[slots[used]] = columns[..., 1:]
        return {"output": to_numpy(call, "output", output),
                "conv_state": to_numpy(call, "conv_state", pool)}

    def gated_norm(self, call: Call) -> dict[str, np.ndarray]:
        from .torch_ops import Gradients

        run = Gradients(call, ("x", "z", "weight"), self.device)
        output = self.norm(run.inputs["x"], run.inputs["z"], run.inputs["weight"], None, activation="swish",
                           eps=call.attribute("eps", 1e-6))
        return run.results({"output": output})


def _activation(call: Call) -> str | None:
    name = call.attribute("activation", "silu")
    return None if name == "none" else name


def _slots(tensors: dict[str, Any], pool: Any) -> tuple[Any, Any]:
    """Slot of every row, and the rows that have one."""
    import torch

    rows = tensors["q"].shape[0] if "q" in tensors else tensors["x"].shape[0]
    slots = tensors.get("state_indices")
    slots = torch.arange(rows, device=pool.device) if slots is None else slots.long()
    return slots, torch.nonzero(slots >= 0).flatten()


def make_candidate() -> Candidate:
    version = _version()
    on_gpu = device.on_gpu()
    library = FlaCandidate(on_gpu)
    from .torch_ops import refusing

    dtypes = ["f32", "f16", "bf16"] if on_gpu else list(interpreter.DTYPES)
    # tl.dot multiplies float32 factors in tf32 where the hardware has it (fla/ops/gated_delta_rule/chunk_fwd.py and
    # wy_fast.py, fla/ops/common/chunk_delta_h.py and chunk_o.py: no input_precision but for two products). tf32 has 10
    # bits after the point, and Triton's code for sm_80 and sm_90 does not round to it (no cvt.rna.tf32): the hardware
    # cuts off, by up to 2^-10.
    chunk = [Approximation("f32", 2.0**-10, "products of float32 factors run in tf32")] if on_gpu and _has_tf32() else []
    # causal_conv1d_bwd (fla/modules/causal_conv1d/ops.py in 0.6.0, conv/triton/ops.py in 0.4.2) runs the forward again
    # without activation into an empty_like(x) and takes the derivative of silu at what it reads back from there.
    conv = [Approximation(dtype, roundoff, "backward reads the pre-activation back in the inputs' dtype")
            for dtype, roundoff in (("f16", 2.0**-11), ("bf16", 2.0**-8)) if dtype in dtypes]
    number = tuple(int(part) for part in version.split(".")[:2])
    notes = [] if on_gpu else [interpreter.NOTE]
    candidate = Candidate("flash-linear-attention", version, "cuda" if on_gpu else "triton interpreter", notes)
    rule = library.delta_rule(library.chunk)
    for direction in ("fwd", "bwd"):
        # chunk_gated_delta_rule_fwd_h and _bwd_dhu assert K <= 256 (fla/ops/common/chunk_delta_h.py).
        candidate.op("chunk_gated_delta_rule", direction, dtypes=dtypes, approximations=chunk,
                     limits=Limits(grouped_heads=number >= GROUPED_CHUNK_SINCE, max_head_k_dim=256))(rule)
        candidate.op("causal_conv1d", direction, dtypes=dtypes, approximations=conv if direction == "bwd" else ())(
            refusing(library.convolution))
        candidate.op("gated_rms_norm", direction, dtypes=dtypes)(refusing(library.gated_norm))
    candidate.op("recurrent_gated_delta_rule", dtypes=dtypes)(library.delta_rule(library.recurrent))
    candidate.op("recurrent_gated_delta_rule_update", dtypes=dtypes)(refusing(library.delta_rule_update))
    candidate.op("causal_conv1d_update", dtypes=dtypes)(refusing(library.convolution_update))
    return candidate


def main() -> None:
    try:
        candidate = make_candidate()
    except ImportError as error:
        missing = f": pip install {error.name}" if error.name in ("torch", "triton", "einops") else ""
        print(f"flash-linear-attention cannot be loaded: {error}{missing}", file=sys.stderr)
        raise SystemExit(2) from error
    candidate.serve()
