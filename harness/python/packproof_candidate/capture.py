"""Records what kernels really receive during a user's own step: capture("step.h5", batch=batch).

A function is intercepted whoever holds a reference to it: its code is exchanged for a few bytes that ask the recorder, and put back
at the end. The file's layout is described in README.md; needs h5py.
"""

from __future__ import annotations

import importlib
import inspect
import sys
import types
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator, Mapping

_HOOK = "__packproof_capture__"
MAX_BYTES = 512 << 20  # What `packproof judge` reads in a few seconds.

# op -> places of functions that are one; those that cannot be imported are left out.
FUNCTIONS = {
    "chunk_gated_delta_rule": ("fla.ops.gated_delta_rule.chunk:chunk_gated_delta_rule",
                               "transformers.models.qwen3_5.modeling_qwen3_5:torch_chunk_gated_delta_rule",
                               "transformers.models.qwen3_5_moe.modeling_qwen3_5_moe:torch_chunk_gated_delta_rule",
                               "transformers.models.qwen3_next.modeling_qwen3_next:torch_chunk_gated_delta_rule"),
    "recurrent_gated_delta_rule": ("fla.ops.gated_delta_rule.fused_recurrent:fused_recurrent_gated_delta_rule",
                                   "transformers.models.qwen3_5.modeling_qwen3_5:torch_recurrent_gated_delta_rule",
                                   "transformers.models.qwen3_5_moe.modeling_qwen3_5_moe:torch_recurrent_gated_delta_rule",
                                   "transformers.models.qwen3_next.modeling_qwen3_next:torch_recurrent_gated_delta_rule"),
    "causal_conv1d": ("causal_conv1d:causal_conv1d_fn", "fla.modules.convolution:causal_conv1d",
                      "fla.modules.causal_conv1d:causal_conv1d",
                      "transformers.models.qwen3_5.modeling_qwen3_5:causal_conv1d_fn",
                      "transformers.models.qwen3_5_moe.modeling_qwen3_5_moe:causal_conv1d_fn",
                      "transformers.models.qwen3_next.modeling_qwen3_next:causal_conv1d_fn"),
    "varlen_attention": ("transformers.integrations.sdpa_attention:sdpa_attention_forward",
                         "transformers.models.qwen3_5.modeling_qwen3_5:eager_attention_forward",
                         "transformers.models.qwen3_5_moe.modeling_qwen3_5_moe:eager_attention_forward",
                         "transformers.models.qwen3_next.modeling_qwen3_next:eager_attention_forward",
                         "flash_attn:flash_attn_varlen_func", "flash_attn:flash_attn_func"),
}


class Recorder:
    """Writes calls into an open HDF5 file in the order in which they happen."""

    def __init__(self, file: Any, layers: frozenset[int] | None, max_bytes: int) -> None:
        self.file = file
        self.layers = layers
        self.bytes_left = max_bytes
        self.count = 0
        self.not_recorded = 0
        self.depth = 0

    def call(self, op: str, name: str, original: Callable[..., Any], signature: inspect.Signature, args: tuple,
             kwargs: dict) -> Any:
        """Runs the original; a kernel called inside another's call is part of that call."""
        layer = _layer_of_caller()
        if self.depth > 0 or (self.layers is not None and layer not in self.layers):
            return original(*args, **kwargs)
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        if self.bytes_left <= 0:
            self.not_recorded += 1
            return original(*args, **kwargs)
        group = self.file.create_group(f"calls/{self.count:05d}")
        self.count += 1
        group.attrs.update(op=op, function=name, layer=-1 if layer is None else layer)
        self._separate_gradients(bound)
        values = _flat(bound)
        group.attrs["missing"] = ",".join(key for key in ("cu_seqlens", "seq_idx") if values.get(key) is None)
        self._store(group, "inputs", values)
        self.depth += 1
        try:
            result = original(*bound.args, **bound.kwargs)
        finally:
            self.depth -= 1
        results = result if isinstance(result, tuple) else (result,)
        self._store(group, "outputs", dict(zip(("output", "final_state", "third", "fourth"), results)))
        return result

    def _separate_gradients(self, bound: inspect.BoundArguments) -> None:
        """The call gets views: what arrives at a view is this call's share of the gradient."""
        import torch

        def separate(value: Any) -> Any:
            return value.view_as(value) if torch.is_tensor(value) and value.requires_grad and torch.is_grad_enabled() else value

        for key, value in bound.arguments.items():
            variadic = bound.signature.parameters[key].kind is inspect.Parameter.VAR_KEYWORD
            bound.arguments[key] = {name: separate(item) for name, item in value.items()} if variadic else separate(value)

    def _store(self, group: Any, section: str, values: dict[str, Any]) -> None:
        import torch

        for name, value in values.items():
            if torch.is_tensor(value):
                self._store_tensor(group, f"{section}/{name}", value)
                if value.requires_grad and torch.is_grad_enabled():
                    value.register_hook(self._gradient_hook(group, f"gradients/d_{name}"))
            elif value is None or isinstance(value, (bool, int, float, str)):
                group.attrs[f"{section}.{name}"] = "none" if value is None else int(value) if isinstance(value, bool) else value
            elif isinstance(value, (tuple, list)) and value and all(isinstance(item, (int, float)) for item in value[:16]):
                group.attrs[f"{section}.{name}"] = list(value[:16])
            elif section == "inputs":
                group.attrs[f"{section}.{name}"] = f"object {type(value).__name__}"

    def _store_tensor(self, group: Any, path: str, tensor: Any) -> None:
        self.bytes_left -= tensor.numel() * tensor.element_size()
        store_tensor(group, path, tensor)

    def _gradient_hook(self, group: Any, path: str) -> Callable[[Any], None]:
        def hook(gradient: Any) -> None:
            if self.file and path not in group:
                self._store_tensor(group, path, gradient)

        return hook


def _flat(bound: inspect.BoundArguments) -> dict[str, Any]:
    """Arguments by name, those in **kwargs too."""
    values: dict[str, Any] = {}
    for key, value in bound.arguments.items():
        kind = bound.signature.parameters[key].kind
        values.update(value if kind is inspect.Parameter.VAR_KEYWORD else {key: value})
    return values


def _layer_of_caller() -> int | None:
    """`layer_idx` of the nearest module among the callers."""
    frame = sys._getframe(1)
    while frame is not None:
        layer = getattr(frame.f_locals.get("self"), "layer_idx", None)
        if isinstance(layer, int):
            return layer
        frame = frame.f_back
    return None


def store_tensor(group: Any, path: str, tensor: Any) -> None:
    """Values, with dtype, strides in elements and device as attributes. bf16 becomes an HDF5 float type of 16 bits,
    integers and booleans narrower than 32 bits become int32."""
    import h5py
    import torch

    plain = tensor.detach().cpu()
    if plain.dtype is torch.bfloat16:
        dataset = group.create_dataset(path, shape=tuple(plain.shape), dtype=h5py.Datatype(_bfloat16_type()))
        dataset.id.write(h5py.h5s.ALL, h5py.h5s.ALL, plain.float().contiguous().numpy(), mtype=h5py.h5t.NATIVE_FLOAT)
    else:
        narrow = plain.dtype in (torch.bool, torch.uint8, torch.int8, torch.int16)
        dataset = group.create_dataset(path, data=(plain.to(torch.int32) if narrow else plain).numpy())
    dataset.attrs.update(dtype=str(plain.dtype).removeprefix("torch."), strides=list(tensor.stride()), device=str(tensor.device))


def _bfloat16_type() -> Any:
    import h5py

    kind = h5py.h5t.IEEE_F32LE.copy()
    kind.set_fields(15, 7, 8, 0, 7)  # Sign, exponent and mantissa; they must fit before the size shrinks.
    kind.set_precision(16)
    kind.set_size(2)
    kind.set_ebias(127)
    return kind


def _resolve(place: str) -> types.FunctionType | None:
    module_name, name = place.split(":")
    try:
        function = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError):
        return None
    # transformers' name for the torch code is also its name for what replaces it: the code itself is inside the wrapper.
    if module_name.startswith("transformers.") or not isinstance(function, types.FunctionType):
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
    function.__code__ = _trampoline(key, code.co_freevars)
    function.__defaults__, function.__kwdefaults__ = None, None

    def undo() -> None:
        function.__code__, function.__defaults__, function.__kwdefaults__ = code, defaults, keyword_defaults
        del hooks[key]

    return undo


def _trampoline(key: str, free: tuple[str, ...]) -> types.CodeType:
    """Code that asks the hook; it has the free variables of the code whose place it takes, never read."""
    lines = ["def maker():", *(f"    {name} = None" for name in free), "    def trampoline(*args, **kwargs):",
             f"        return {_HOOK}[{key!r}](args, kwargs)", *(f"        {name}" for name in free)]
    code = compile("\n".join(lines), "<packproof>", "exec")
    for _ in range(2):
        code = next(item for item in code.co_consts if isinstance(item, types.CodeType))
    assert code.co_freevars == free, (code.co_freevars, free)
    return code


@contextmanager
def capture(path: str | Path, batch: Mapping[str, Any] | None = None, *, layers: Iterable[int] | None = None,
            max_bytes: int = MAX_BYTES, functions: dict[str, tuple[str, ...]] | None = None) -> Iterator[Recorder]:
    """Records every call of the kernels that are installed into an HDF5 file.

    `batch` is what the model is given (position_ids, seq_idx, cu_seq_lens_q, ..): it says where sequences begin, so that a
    boundary which never reaches a kernel can be named. Gradients are recorded if backward runs inside the block. `layers`
    leaves the calls of other layers out; calls after `max_bytes` of tensors are only counted.
    """
    import h5py
    import torch

    undo: list[Callable[[], None]] = []
    seen: set[int] = set()
    with h5py.File(path, "w") as file:
        file.attrs.update(format="packproof capture", version=1, torch=str(torch.__version__))
        for name, value in dict(batch or {}).items():
            if torch.is_tensor(value):
                store_tensor(file, f"batch/{name}", value)
            elif isinstance(value, int):
                file.require_group("batch").attrs[name] = value
        recorder = Recorder(file, None if layers is None else frozenset(layers), max_bytes)
        try:
            for op, places in (functions or FUNCTIONS).items():
                for place in places:
                    function = _resolve(place)
                    if function is None or id(function) in seen:
                        continue
                    seen.add(id(function))
                    undo.append(_exchange(function, _hook_of(recorder, op, place, inspect.signature(function))))
            yield recorder
        finally:
            for restore in reversed(undo):
                restore()
            recorder.file = None
            file.attrs["not_recorded"] = recorder.not_recorded


def _hook_of(recorder: Recorder, op: str, place: str,
             signature: inspect.Signature) -> Callable[[Callable[..., Any], tuple, dict], Any]:
    return lambda original, args, kwargs: recorder.call(op, place, original, signature, args, kwargs)
