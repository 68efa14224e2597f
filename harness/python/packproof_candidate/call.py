"""One call of one op, as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from . import tensor
from .device import GuardedCopy
from .frame import ProtocolError


class NotSupported(Exception):
    """Raise it with one sentence to refuse a call: packproof counts it as a skip with that reason."""


@dataclass
class Call:
    """Inputs are views into the message; a bf16 input is an array of its bits, see `dtypes`."""

    op: str
    direction: str
    attributes: dict[str, Any]
    inputs: dict[str, np.ndarray]
    dtypes: dict[str, str]
    outputs: dict[str, tensor.Output]
    poison: int = 255
    ident: int = 0
    variant: str = ""
    repeats: int = 1  # Above 1 the call is timed: `seconds` is the median of so many runs.
    seconds: float | None = None
    payload: bytearray = field(default_factory=bytearray, repr=False)
    copies: list[GuardedCopy] = field(default_factory=list, repr=False)  # Inputs on a device.

    @classmethod
    def from_message(cls, header: dict[str, Any], payload: bytearray) -> "Call":
        try:
            inputs, outputs = header["inputs"], header["outputs"]
            poison = int(header.get("poison", 255))
            return cls(
                op=header["op"],
                direction=header["direction"],
                attributes=header.get("attributes", {}),
                inputs={name: tensor.decode(name, json, payload) for name, json in inputs.items()},
                dtypes={name: json["dtype"] for name, json in inputs.items()},
                outputs={name: tensor.Output(name, json, poison) for name, json in outputs.items()},
                poison=poison,
                ident=header["id"],
                variant=header.get("variant", ""),
                repeats=int(header.get("repeats", 1)),
                payload=payload,
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ProtocolError(f"expected a call with id, op, direction, inputs and outputs: {error!r}") from error

    @property
    def packed(self) -> bool:
        return "cu_seqlens" in self.inputs or "seq_idx" in self.inputs

    @property
    def lengths(self) -> list[int] | None:
        """Lengths of the packed sequences; None for a dense call or one with seq_idx alone."""
        if "cu_seqlens" not in self.inputs:
            return None
        return np.diff(self.inputs["cu_seqlens"]).tolist()

    @property
    def dtype(self) -> str:
        """dtype of the op's first token tensor."""
        for name in ("x", "q", "a", "d_output"):
            if name in self.dtypes:
                return self.dtypes[name]
        return next(iter(self.dtypes.values()))

    def attribute(self, name: str, default: Any) -> Any:
        return self.attributes.get(name, default)

    def wants(self, name: str) -> bool:
        return name in self.outputs

    def store(self, name: str, value: np.ndarray) -> None:
        """Copies a result into its output, except the rows after cu_seqlens[-1], which no op owns."""
        target = self.outputs[name].array
        if value.shape != target.shape:
            raise ValueError(f"the kernel gave {name} of shape {list(value.shape)}, expected {list(target.shape)}")
        rows = self._owned_rows(target)
        if rows is None:
            target[...] = value
        else:
            target[:, :rows] = value[:, :rows]

    def _owned_rows(self, target: np.ndarray) -> int | None:
        tokens = next((self.inputs[name] for name in ("x", "q") if name in self.inputs), None)
        lengths = self.lengths
        if lengths is None or "seq_idx" in self.inputs or tokens is None:
            return None
        return sum(lengths) if target.shape[:2] == tokens.shape[:2] and target.ndim > 2 else None
