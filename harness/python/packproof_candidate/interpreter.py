"""Triton kernels without a GPU: what has to be arranged around Triton's interpreter.

Call `enable()` before anything imports triton, `finish(package)` after the kernels' modules are loaded. Nothing in
the kernels' package is changed but the `range` that its kernels see.
"""

from __future__ import annotations

import builtins
import contextlib
import os
import sys
from typing import Any, Iterator

NOTE = ("source semantics only: nothing about races, autotune configurations, tf32, bf16 "
        "(Triton's interpreter on the CPU)")
DTYPES = ("f32", "f16")  # numpy has no bfloat16 product: bf16 calls return garbage.


def enable() -> None:
    """Makes every kernel run in the interpreter, and autotuned ones with their first configuration."""
    if "triton" in sys.modules:
        raise RuntimeError("the interpreter must be chosen before triton is imported")
    os.environ["TRITON_INTERPRET"] = "1"
    import numpy
    import torch
    from triton.runtime import autotuner

    if tuple(map(int, numpy.__version__.split(".")[:2])) >= (2, 3):
        raise SystemExit(f"Triton's interpreter needs numpy below 2.3, found {numpy.__version__}: "
                         "pip install 'numpy<2.3'")
    autotuner.Autotuner.run = _run_first_configuration
    _patch_once_per_kernel()
    if not hasattr(torch.cpu, "device"):
        torch.cpu.device = lambda index=None: contextlib.nullcontext()


def finish(package: str) -> int:
    """Gives the kernels of `package` loop counters with `.to`; returns how many modules it touched.

    Compiled kernels may convert a loop counter (`i.to(tl.int64)`); in the interpreter it is a Python int.
    """
    touched = 0
    for name, module in list(sys.modules.items()):
        inside = name == package or name.startswith(package + ".")
        if inside and any(_is_kernel(value) for value in list(vars(module).values())):
            vars(module)["range"] = _counting_range
            touched += 1
    return touched


def _is_kernel(value: Any) -> bool:
    while hasattr(value, "fn"):
        if type(value).__name__ == "InterpretedFunction":
            return True
        value = value.fn
    return False


def _run_first_configuration(self: Any, *args: Any, **kwargs: Any) -> Any:
    self.nargs = dict(zip(self.arg_names, args))
    configurations = self.prune_configs(kwargs)
    self.nargs = None
    chosen = dict(configurations[0].kwargs)
    for name in ("num_warps", "num_stages", "num_ctas", "maxnreg"):
        chosen.pop(name, None)
        kwargs.pop(name, None)
    return self.fn.run(*args, **{**kwargs, **chosen})


def _patch_once_per_kernel() -> None:
    """Triton patches its language when a kernel starts, and again at every function that the kernel calls: a quarter of
    the time, for nothing where the same parts of the language are patched already."""
    import triton.language as language
    from triton.runtime import interpreter

    if not hasattr(interpreter, "_LangPatchScope"):  # Another release.
        return
    patch = interpreter._patch_lang
    patched: set[int] = set()  # Since the running kernel started.

    def patch_once(function: Any) -> Any:
        parts = {id(value) for value in function.__globals__.values() if value is language or value is language.core}
        if patched and parts <= patched:
            return interpreter._LangPatchScope()
        before = frozenset(patched)
        scope = patch(function)
        patched.update(parts)
        restore = scope.restore

        def end() -> None:
            patched.intersection_update(before)
            restore()

        scope.restore = end
        return scope

    interpreter._patch_lang = patch_once


class _Counter(int):
    """A loop counter that takes part in Triton's conversions."""

    def to(self, dtype: Any, *_: Any, **__: Any) -> Any:
        import triton.language as language

        return language.full((), int(self), dtype)


def _counting_range(*bounds: Any, **_: Any) -> Iterator[_Counter]:
    for value in builtins.range(*(int(getattr(getattr(bound, "handle", bound), "data", bound))
                                  if not isinstance(bound, int) else bound for bound in bounds)):
        yield _Counter(value)
