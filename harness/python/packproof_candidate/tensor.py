"""Tensors of the process protocol as numpy arrays.

numpy has no bfloat16: such tensors are arrays of their bits (uint16), and `TensorSpec.dtype` says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .frame import ProtocolError

NUMPY_DTYPES = {
    "f32": np.dtype("<f4"),
    "f16": np.dtype("<f2"),
    "bf16": np.dtype("<u2"),
    "f64": np.dtype("<f8"),
    "i32": np.dtype("<i4"),
    "i64": np.dtype("<i8"),
}


@dataclass(frozen=True)
class TensorSpec:
    """Layout of one tensor; strides count elements."""

    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @classmethod
    def from_json(cls, name: str, json: dict[str, Any]) -> "TensorSpec":
        dtype, shape = json.get("dtype"), json.get("shape")
        if dtype not in NUMPY_DTYPES:
            raise ProtocolError(f"{name}.dtype: expected one of {' '.join(NUMPY_DTYPES)}, found {dtype!r}")
        if not isinstance(shape, list):
            raise ProtocolError(f"{name}.shape: expected a list, found {shape!r}")
        strides = json.get("strides")
        if strides is None:
            strides = contiguous_strides(shape)
        if len(strides) != len(shape) or min([0, *shape, *strides]) < 0:
            raise ProtocolError(f"{name}: expected sizes and strides >= 0, one per axis, found {json}")
        return cls(dtype, tuple(shape), tuple(strides))

    @property
    def elements(self) -> int:
        """Elements from the first to the last reachable one; gaps count."""
        if 0 in self.shape:
            return 0
        return 1 + sum((size - 1) * stride for size, stride in zip(self.shape, self.strides))

    @property
    def bytes(self) -> int:
        return self.elements * NUMPY_DTYPES[self.dtype].itemsize


def contiguous_strides(shape: list[int] | tuple[int, ...]) -> list[int]:
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return strides[::-1]


def view(spec: TensorSpec, storage: np.ndarray) -> np.ndarray:
    """The tensor within its storage, a contiguous array of `spec.elements` elements."""
    if 0 in spec.shape:
        return np.empty(spec.shape, NUMPY_DTYPES[spec.dtype])
    strides = [stride * storage.itemsize for stride in spec.strides]
    return np.lib.stride_tricks.as_strided(storage, spec.shape, strides)


def decode(name: str, json: dict[str, Any], payload: bytearray) -> np.ndarray:
    """A writable view into the payload."""
    spec = TensorSpec.from_json(name, json)
    offset, size = json.get("offset"), json.get("bytes")
    if size != spec.bytes or not isinstance(offset, int) or not 0 <= offset <= len(payload) - size:
        raise ProtocolError(f"{name}: expected {spec.bytes} bytes within a payload of {len(payload)}, "
                            f"found offset {offset} and {size} bytes")
    dtype = NUMPY_DTYPES[spec.dtype]
    if spec.elements == 0:
        return np.empty(spec.shape, dtype)
    return view(spec, np.frombuffer(payload, dtype, spec.elements, offset))


def encode(array: np.ndarray, dtype: str, payload: bytearray) -> dict[str, Any]:
    """Appends a contiguous tensor to the payload and describes it."""
    payload.extend(bytes(-len(payload) % 16))
    offset = len(payload)
    data = np.ascontiguousarray(array, NUMPY_DTYPES[dtype]).tobytes()
    payload.extend(data)
    return {"dtype": dtype, "shape": list(array.shape), "strides": contiguous_strides(array.shape),
            "offset": offset, "bytes": len(data)}


class Output:
    """An output that the harness asked for: its storage, every byte poisoned, and the tensor in it."""

    def __init__(self, name: str, json: dict[str, Any], poison: int) -> None:
        self.spec = TensorSpec.from_json(name, json)
        raw = np.full(self.spec.bytes, poison, np.uint8)
        self.storage = raw.view(NUMPY_DTYPES[self.spec.dtype])
        self.array = view(self.spec, self.storage)

    def encode(self, payload: bytearray) -> dict[str, Any]:
        """Appends the storage to the payload and describes the tensor."""
        payload.extend(bytes(-len(payload) % 16))
        offset = len(payload)
        payload.extend(self.storage.tobytes())
        return {"dtype": self.spec.dtype, "shape": list(self.spec.shape),
                "strides": list(self.spec.strides), "offset": offset, "bytes": self.spec.bytes}
