"""Tensors of a call on a GPU, their guards, and kernels' faults, which show only when the GPU is waited for."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

GUARD_BYTES = 512  # torch's allocator aligns to as many: a copy is as aligned as a tensor of the user's.


def on_gpu() -> bool:
    """Whether kernels run on a GPU: TRITON_INTERPRET=1 chooses the interpreter although there is one."""
    import torch

    return torch.cuda.is_available() and os.environ.get("TRITON_INTERPRET") != "1"


class GuardedCopy:
    """An input on a device with its strides and gaps, between guards.

    The guards' bytes are 255: NaN in every float format, -1 in integers. Gaps hold what packproof sent. `array` is a view
    of its storage, from the first to the last reachable element.
    """

    def __init__(self, name: str, array: np.ndarray, dtype: "torch.dtype", device: str) -> None:
        import torch

        self.name = name
        elements = 0 if array.size == 0 else 1 + sum((size - 1) * stride // array.itemsize
                                                     for size, stride in zip(array.shape, array.strides))
        storage = np.lib.stride_tricks.as_strided(array, (elements,), (array.itemsize,))
        guard = np.full(GUARD_BYTES, 255, np.uint8)
        self.given = np.concatenate([guard, storage.view(np.uint8), guard])
        self.buffer = torch.tensor(self.given, device=device)
        inside = self.buffer[GUARD_BYTES: self.given.size - GUARD_BYTES].view(dtype)
        self.tensor = inside.as_strided(array.shape, [stride // array.itemsize for stride in array.strides])

    def written(self) -> tuple[bool, bool]:
        """Whether a kernel wrote outside the tensor's storage, and whether it changed the storage."""
        changed = self.buffer.cpu().numpy() != self.given
        inside = changed[GUARD_BYTES: changed.size - GUARD_BYTES]
        return bool(changed.sum() > inside.sum()), bool(inside.any())


def memory_report(copies: list[GuardedCopy]) -> dict[str, list[str]]:
    """Names of inputs beside which, and in which, a kernel wrote."""
    found = [(copy.name, *copy.written()) for copy in copies]
    return {"written_outside": sorted({name for name, outside, _ in found if outside}),
            "inputs_modified": sorted({name for name, _, inside in found if inside})}


def _torch_with_gpu() -> Any:
    torch = sys.modules.get("torch")
    return torch if torch is not None and torch.cuda.is_initialized() else None


def wait() -> None:
    """Until the GPU, if this process uses one, is done; raises what its kernels did."""
    if (torch := _torch_with_gpu()) is not None:
        torch.cuda.synchronize()


def lost_by(error: BaseException) -> bool:
    """Whether later calls of this process would fail too: GPU memory is exhausted, or a kernel's fault stays with the
    process (an illegal access, a failed assertion)."""
    if (torch := _torch_with_gpu()) is None:
        return False
    if isinstance(error, torch.cuda.OutOfMemoryError):
        return True
    try:
        torch.cuda.synchronize()
    except RuntimeError:
        return True
    return False
