"""Records what kernels really receive during a user's own step: capture("step.h5", batch=batch).

A function is intercepted whoever holds a reference to it: its code is exchanged for a few bytes that ask the recorder, and put back
at the end. The file's layout is described in README.md; needs h5py.
"""

from __future__ import annotations

import importlib
import inspect
import types
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Iterator

_HOOK = "__packproof_capture__"

# op -> places of functions that are one; those that cannot be imported are left out.
FUNCTIONS = {
    "chunk_gated_delta_rule": ("fla.ops.gated_delta_rule.chunk:chunk_gated_delta_rule",
                               "transformers.models.qwen3_5.modeling_qwen3_5:torch_chunk_gated_delta_rule",
                               "transformers.models.qwen3_5_moe.modeling_qwen3_5_moe:torch_chunk_gated_delta_rule",
                               "transformers.models.qwen3_next.modeling_qwen3_next:torch_chunk_gated_delta_rule"),
    "recurrent_gated_delta_rule": ("fla.ops.gated_delta_rule.fused_recurrent:fused_recurrent_gated_delta_rule",
                                   "transformers.models.qwen3_5.modeling_qwen3_5:torch_recurrent_gated_delta_rule"),
    "causal_conv1d": ("causal_conv1d:causal_conv1d_fn", "fla.modules.convolution:causal_conv1d",
                      "fla.modules.causal_conv1d:causal_conv1d",
                      "transformers.models.qwen3_5.modeling_qwen3_5:causal_conv1d_fn",
                      "transformers.models.qwen3_5_moe.modeling_qwen3_5_moe:causal_conv1d_fn"),
    "varlen_attention": ("transformers.integrations.sdpa_attention:sdpa_attention_forward",
                         "transformers.models.qwen3_5.modeling_qwen3_5:eager_attention_forward",
                         "flash_attn:flash_attn_varlen_func"),
}


class Recorder:
    """Writes calls into an open HDF5 file in the order in which they happen."""

    def __init__(self, file: Any) -> None:
        self.file = file
        self.count = 0
        self.depth = 0

    def call(self, op: str, name: str, original: Callable[..., Any], args: tuple, kwargs: dict) -> Any:
        """Runs the original; a kernel called inside another's call is part of that call."""
        if self.depth > 0:
            return original(*args, **kwargs)
        group = self.file.create_group(f"calls/{self.count:05d}")
        self.count += 1
        group.attrs.update(op=op, function=name)
        signature = inspect.signature(original)
        bound = signature.bind(*args, **kwargs)
        values: dict[str, Any] = {}
        for key, value in bound.arguments.items():
            variadic = signature.parameters[key].kind is inspect.Parameter.VAR_KEYWORD
            values.update(value if variadic else {key: value})
        missing = [key for key in ("cu_seqlens", "seq_idx") if values.get(key) is None]
        group.attrs["missing"] = missing
        self._store(group, "inputs", values, gradients=True)
        self.depth += 1
        try:
            result = original(*args, **kwargs)
        finally:
            self.depth -= 1
        results = result if isinstance(result, tuple) else (result,)
        self._store(group, "outputs", dict(zip(("output", "final_state", "third", "fourth"), results)), gradients=True)
        return result

    def _store(self, group: Any, section: str, values: dict[str, Any], gradients: bool) -> None:
        import torch

        for name, value in values.items():
            if torch.is_tensor(value):
                store_tensor(group, f"{section}/{name}", value)
                if gradients and value.requires_grad:
                    value.register_hook(self._gradient_hook(group, f"gradients/d_{name}"))
            elif value is None or isinstance(value, (bool, int, float, str)):
                group.attrs[f"{section}.{name}"] = "none" if value is None else value

    def _gradient_hook(self, group: Any, path: str) -> Callable[[Any], None]:
        def hook(gradient: Any) -> None:
            # A tensor that feeds several places gets the sum of what arrives: the last call holds it all.
            if self.file and path not in group:
                store_tensor(group, path, gradient)

        return hook


def store_tensor(group: Any, path: str, tensor: Any) -> None:
    """Values, with dtype (bf16 as its bits), strides in elements and device as attributes."""
    import torch

    plain = tensor.detach().cpu()
    dtype = str(plain.dtype).removeprefix("torch.")
    if plain.dtype is torch.bfloat16:
        plain = plain.contiguous().view(torch.uint16)
    dataset = group.create_dataset(path, data=plain.numpy())
    dataset.attrs.update(dtype=dtype, strides=list(tensor.stride()), device=str(tensor.device))


def _resolve(place: str) -> types.FunctionType | None:
    module_name, name = place.split(":")
    try:
        function = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError):
        return None
    function = inspect.unwrap(function)
    return function if isinstance(function, types.FunctionType) else None


def _exchange(function: types.FunctionType, hook: Callable[[Callable[..., Any], tuple, dict], Any]) -> Callable[[], None]:
    """Makes the function call hook(original, args, kwargs); returns what undoes it."""
    code, defaults, keyword_defaults = function.__code__, function.__defaults__, function.__kwdefaults__
    original = types.FunctionType(code, function.__globals__, function.__name__, defaults, function.__closure__)
    original.__kwdefaults__ = keyword_defaults
    hooks = function.__globals__.setdefault(_HOOK, {})
    key = f"{function.__qualname__}@{id(function)}"
    hooks[key] = lambda args, kwargs: hook(original, args, kwargs)
    body = compile(f"def trampoline(*args, **kwargs):\n    return {_HOOK}[{key!r}](args, kwargs)", "<packproof>", "exec")
    trampoline = next(item for item in body.co_consts if isinstance(item, types.CodeType))
    function.__code__ = trampoline.replace(co_freevars=code.co_freevars)
    function.__defaults__, function.__kwdefaults__ = None, None

    def undo() -> None:
        function.__code__, function.__defaults__, function.__kwdefaults__ = code, defaults, keyword_defaults
        del hooks[key]

    return undo


@contextmanager
def capture(path: str | Path, batch: dict[str, Any] | None = None,
            functions: dict[str, tuple[str, ...]] | None = None) -> Iterator[Recorder]:
    """Records every call of the kernels that are installed into an HDF5 file.

    `batch` is what the model is given (position_ids, seq_idx, cu_seq_lens_q, ..): it says where sequences begin, so that a
    boundary which never reaches a kernel can be named. Gradients are recorded if backward runs inside the block.
    """
    import h5py
    import torch

    undo: list[Callable[[], None]] = []
    seen: set[int] = set()
    with h5py.File(path, "w") as file:
        file.attrs.update(format="packproof capture", version=1, torch=str(torch.__version__))
        for name, value in (batch or {}).items():
            if torch.is_tensor(value):
                store_tensor(file, f"batch/{name}", value)
            elif isinstance(value, int):
                file.require_group("batch").attrs[name] = value
        recorder = Recorder(file)
        try:
            for op, places in (functions or FUNCTIONS).items():
                for place in places:
                    function = _resolve(place)
                    if function is None or id(function) in seen:
                        continue
                    seen.add(id(function))
                    undo.append(_exchange(function, _hook_of(recorder, op, place)))
            yield recorder
        finally:
            for restore in reversed(undo):
                restore()
            recorder.file = None


def _hook_of(recorder: Recorder, op: str, place: str) -> Callable[[Callable[..., Any], tuple, dict], Any]:
    return lambda original, args, kwargs: recorder.call(op, place, original, args, kwargs)
