"""Calls as torch tensors, and functions with FLA's signatures as candidates."""

from __future__ import annotations

import inspect
from typing import Any, Callable, Iterable

import numpy as np
import torch

from .call import Call, NotSupported
from .candidate import Approximation, Candidate, Limits
from .device import GuardedCopy

_DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16, "f64": torch.float64, "i32": torch.int32,
           "i64": torch.int64}
_GATES = ("a", "A_log", "dt_bias")


def to_torch(call: Call, name: str, device: str = "cpu", grad: bool = False) -> torch.Tensor | None:
    """An input with its strides, or None where the call has none. On the CPU it is the message's own memory; elsewhere a
    copy between guards, which `Candidate.answer` looks at after the call."""
    if name not in call.inputs:
        return None
    array = call.inputs[name]
    bf16 = call.dtypes[name] == "bf16"
    if device == "cpu":
        tensor = torch.from_numpy(array.view(np.int16)).view(torch.bfloat16) if bf16 else torch.from_numpy(array)
    else:
        copy = GuardedCopy(name, array, _DTYPES[call.dtypes[name]], device)
        call.copies.append(copy)
        tensor = copy.tensor
    return tensor.detach().requires_grad_() if grad else tensor


def to_numpy(call: Call, name: str, value: torch.Tensor) -> np.ndarray:
    """A result as the array that `Call.store` takes; its dtype must be the output's."""
    value = value.detach()
    dtype = call.outputs[name].spec.dtype
    if dtype == "bf16":
        return value.to(torch.bfloat16).cpu().contiguous().view(torch.int16).numpy().view(np.uint16)
    return value.cpu().numpy()


class Gradients:
    """Runs a function of some inputs forward, or forward and backward, as the call asks."""

    def __init__(self, call: Call, names: Iterable[str], device: str) -> None:
        self.call = call
        self.backward = call.direction == "bwd"
        self.inputs = {name: to_torch(call, name, device, self.backward and call.wants("d_" + name))
                       for name in names}
        self.device = device

    def results(self, values: dict[str, torch.Tensor | None]) -> dict[str, np.ndarray]:
        """`values` are the forward results by name; their gradients stand in the call as d_NAME."""
        if not self.backward:
            return {name: to_numpy(self.call, name, value) for name, value in values.items()
                    if value is not None and self.call.wants(name)}
        roots, upstream = [], []
        for name, value in values.items():
            gradient = to_torch(self.call, "d_" + name, self.device)
            if value is not None and gradient is not None:
                roots.append(value)
                upstream.append(gradient.to(value.dtype))
        torch.autograd.backward(roots, upstream)
        gradients = {}
        for name, leaf in self.inputs.items():
            if leaf is None or not self.call.wants("d_" + name):
                continue
            gradient = leaf.grad if leaf.grad is not None else torch.zeros_like(leaf)
            gradients["d_" + name] = to_numpy(self.call, "d_" + name, gradient)
        return gradients


def refusing(handler: Callable[[Call], dict[str, np.ndarray]]) -> Callable[[Call], dict[str, np.ndarray]]:
    """What a library refuses by ValueError, AssertionError or the like counts as refused, with its sentence."""

    def guarded(call: Call) -> dict[str, np.ndarray]:
        try:
            return handler(call)
        except (ValueError, AssertionError, DeprecationWarning) as refusal:
            raise NotSupported(str(refusal) or type(refusal).__name__) from refusal

    return guarded


def needs_final_state(call: Call) -> bool:
    return call.wants("final_state") or "d_final_state" in call.inputs


def keywords_of(function: Callable[..., Any]) -> frozenset[str]:
    """Names that a function takes. One with **kwargs takes those that its source mentions: a keyword
    that it swallows unread is one that it does not take."""
    signature = inspect.signature(function)
    names = set(signature.parameters)
    if any(item.kind is item.VAR_KEYWORD for item in signature.parameters.values()):
        source = inspect.getsource(inspect.unwrap(function))
        names.update(name for name in ("use_gate_in_kernel", "A_log", "dt_bias") if f"'{name}'" in source
                     or f'"{name}"' in source)
    return frozenset(names)


def median_seconds(run: Callable[[], Any], repeats: int) -> float:
    """Of runs on the current CUDA stream, by its events, after a first one that compiles and tunes."""
    with torch.no_grad():
        run()
        events = [(torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)) for _ in range(repeats)]
        for begin, end in events:
            begin.record()
            run()
            end.record()
        torch.cuda.synchronize()
    return sorted(begin.elapsed_time(end) for begin, end in events)[repeats // 2] * 1e-3


def delta_rule(call: Call, function: Callable[..., Any], keywords: frozenset[str],
               device: str = "cpu") -> dict[str, np.ndarray]:
    """Calls a function with FLA's signature (q, k, v, g, beta, scale, initial_state,
    output_final_state, cu_seqlens, use_qk_l2norm_in_kernel) -> (output, final_state)."""
    inside = "a" in call.inputs
    run = Gradients(call, ("q", "k", "v", "g", "beta", "initial_state", *_GATES), device)
    tensors = run.inputs
    arguments: dict[str, Any] = {name: tensors[name] for name in ("q", "k", "v", "beta", "initial_state")}
    arguments["g"] = tensors["a"] if inside else tensors["g"]
    arguments["scale"] = call.attribute("scale", 0.0) or tensors["k"].shape[-1] ** -0.5
    arguments["output_final_state"] = needs_final_state(call)
    if inside:
        arguments.update(use_gate_in_kernel=True, A_log=tensors["A_log"], dt_bias=tensors["dt_bias"])
    if call.packed:
        arguments["cu_seqlens"] = to_torch(call, "cu_seqlens", device)
    if call.attribute("qk_l2norm", True):
        arguments["use_qk_l2norm_in_kernel"] = True
    for name in arguments:
        if name not in keywords:
            raise NotSupported(f"the function has no parameter {name}")
    output, state = function(**arguments)
    if call.repeats > 1 and device.startswith("cuda") and not run.backward:
        call.seconds = median_seconds(lambda: function(**arguments), call.repeats)
    return run.results({"output": output, "final_state": state})


def register_delta_rule(candidate: Candidate, op: str, function: Callable[..., Any] | None = None, *,
                        dtypes: Iterable[str] = ("f32",), backward: bool = True, variant: str = "",
                        device: str = "cpu", limits: Limits = Limits(),
                        approximations: Iterable[Approximation] = ()) -> Any:
    """Decorator, with or without arguments."""

    def register(kernel: Callable[..., Any]) -> Callable[..., Any]:
        keywords = keywords_of(kernel)

        def handler(call: Call) -> dict[str, np.ndarray]:
            return delta_rule(call, kernel, keywords, device)

        for direction in ("fwd", "bwd") if backward else ("fwd",):
            candidate.op(op, direction, dtypes=dtypes, variant=variant, limits=limits,
                         approximations=approximations)(handler)
        return kernel

    return register if function is None else register(function)
