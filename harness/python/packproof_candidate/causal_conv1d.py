"""The causal-conv1d package (CUDA only) as a candidate."""

from __future__ import annotations

import importlib.metadata
import os
import sys
from typing import Any

import numpy as np

from .call import Call, NotSupported
from .candidate import Candidate

DTYPES = ("f32", "f16", "bf16")
WIDTHS = (2, 3, 4)
CHANNELS = 8  # Channel-last tensors have a multiple of these (csrc/causal_conv1d.cpp).
ATOMICS = "gradients of weight and bias differ in bits from run to run (atomic sums; CAUSAL_CONV1D_DETERMINISTIC=1 chooses otherwise)"


def _refuse(sentence: str) -> None:
    print(sentence, file=sys.stderr)
    raise SystemExit(2)


def _activation(call: Call) -> str | None:
    name = call.attribute("activation", "silu")
    return None if name == "none" else name


def _check_width(call: Call) -> None:
    width = call.inputs["weight"].shape[1]
    if width not in WIDTHS:
        raise NotSupported(f"causal-conv1d takes widths 2 to 4, not {width}")


def _channel_last(tensor: Any) -> Any:
    """[B, T, C] as [B, C, T] with channels side by side. The package wants multiples of 8 as the other two strides, also of
    axes of size 1, which torch's contiguous() leaves as they are."""
    import torch

    _, tokens, channels = tensor.shape
    if tensor.stride() != (tokens * channels, channels, 1):
        tensor = tensor.clone(memory_format=torch.contiguous_format)
    return tensor.transpose(1, 2)


def convolution(call: Call) -> dict[str, np.ndarray]:
    """x [B, T, C] goes in channel-last, as a transposed projection would, and so does the output's gradient."""
    from .torch_ops import Gradients, needs_final_state, to_torch

    _check_width(call)
    channels = call.inputs["x"].shape[-1]
    if channels % CHANNELS != 0:
        raise NotSupported(f"causal-conv1d takes a multiple of {CHANNELS} channels, not {channels}")
    if call.inputs["x"].size == 0:
        raise NotSupported("causal-conv1d takes at least one token")  # It would launch no block: CUDA's invalid configuration.
    if "cu_seqlens" in call.inputs and "seq_idx" not in call.inputs:
        raise NotSupported("causal-conv1d takes seq_idx, not cu_seqlens")
    states = "initial_state" in call.inputs or needs_final_state(call)
    if states and call.packed:
        raise NotSupported("causal-conv1d takes seq_idx or states, not both")
    from causal_conv1d import causal_conv1d_fn

    run = Gradients(call, ("x", "weight", "bias", "initial_state"), "cuda")
    initial = run.inputs["initial_state"]
    if initial is not None:  # Channel-last, stride 1 over the channels.
        initial = initial.transpose(1, 2).contiguous().transpose(1, 2)
    arguments: dict[str, Any] = {"bias": run.inputs["bias"], "activation": _activation(call),
                                 "seq_idx": to_torch(call, "seq_idx", "cuda"), "initial_states": initial,
                                 "return_final_states": needs_final_state(call)}
    found = causal_conv1d_fn(_channel_last(run.inputs["x"]), run.inputs["weight"], **arguments)
    output, final = found if isinstance(found, tuple) else (found, None)
    if output.requires_grad:
        output.register_hook(lambda gradient: _channel_last(gradient.transpose(1, 2)))
    return run.results({"output": output.transpose(1, 2), "final_state": final})


def update(call: Call) -> dict[str, np.ndarray]:
    _check_width(call)
    from causal_conv1d import causal_conv1d_update

    from .torch_ops import to_numpy, to_torch

    tensors = {name: to_torch(call, name, "cuda") for name in call.inputs}
    pool = tensors["conv_state"].clone()
    bias, slots = (None if name not in tensors else tensors[name].contiguous() for name in ("bias", "state_indices"))
    output = causal_conv1d_update(tensors["x"].contiguous(), pool, tensors["weight"], bias, _activation(call),
                                  conv_state_indices=slots)
    return {"output": to_numpy(call, "output", output), "conv_state": to_numpy(call, "conv_state", pool)}


def main() -> None:
    try:
        import torch
    except ImportError:
        _refuse("causal-conv1d needs torch, which is not installed")
    if not torch.cuda.is_available():
        _refuse("causal-conv1d runs on a GPU only, and torch sees none: judge FLA's convolution instead "
                "(python3 -m packproof_candidate fla)")
    try:
        version = importlib.metadata.version("causal-conv1d")
    except importlib.metadata.PackageNotFoundError:
        _refuse("causal-conv1d is not installed: pip install causal-conv1d")
    from .torch_ops import refusing

    deterministic = os.environ.get("CAUSAL_CONV1D_DETERMINISTIC", "").startswith("1")
    candidate = Candidate("causal-conv1d", version, "cuda", [] if deterministic else [ATOMICS])
    for direction in ("fwd", "bwd"):
        candidate.op("causal_conv1d", direction, dtypes=DTYPES)(refusing(convolution))
    candidate.op("causal_conv1d_update", dtypes=DTYPES)(refusing(update))
    candidate.serve()
