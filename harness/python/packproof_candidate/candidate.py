"""A program that answers calls: what it offers, and the loop that serves the harness."""

from __future__ import annotations

import os
import sys
import time
import traceback
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Callable, Iterable

import numpy as np

from . import device, tensor
from .call import Call, NotSupported
from .frame import read_frame, write_frame

PROTOCOL_VERSION = 1
REFUSALS = (NotSupported, NotImplementedError)

Handler = Callable[[Call], "dict[str, Any] | None"]
ModelHandler = Callable[[str, str, str, "dict[str, np.ndarray]", bool], "dict[str, np.ndarray]"]


@dataclass(frozen=True)
class Approximation:
    """A declared loss of precision: intermediates of calls of `dtype` keep `unit_roundoff` only."""

    dtype: str
    unit_roundoff: float
    what: str

    def json(self) -> dict[str, Any]:
        return {"dtype": self.dtype, "unit_roundoff": self.unit_roundoff, "what": self.what}


@dataclass(frozen=True)
class Limits:
    """What an op takes. A call beyond it that is accepted and wrong fails as "accepted what it cannot do"."""

    grouped_heads: bool = True
    empty_sequences: bool = True
    initial_state: bool = True
    state_pool: bool = False
    packed: bool = True
    head_k_dims: tuple[int, ...] = ()
    head_v_dims: tuple[int, ...] = ()
    max_head_k_dim: int = 0
    max_head_v_dim: int = 0

    def json(self) -> dict[str, Any]:
        """Only what differs from "anything goes"."""
        default = Limits()
        return {name: list(value) if isinstance(value, tuple) else value
                for name, value in vars(self).items() if value != getattr(default, name)}


@dataclass
class Capability:
    op: str
    direction: str
    dtypes: list[str]
    handler: Handler
    variant: str = ""
    limits: Limits = field(default_factory=Limits)
    approximations: list[Approximation] = field(default_factory=list)

    def json(self) -> dict[str, Any]:
        return {"op": self.op, "direction": self.direction, "dtypes": self.dtypes,
                "variants": [self.variant] if self.variant else [], "limits": self.limits.json(),
                "approximations": [item.json() for item in self.approximations]}


class Candidate:
    """Collects kernels by decorators and serves them.

    candidate = Candidate("my kernels", "1.0")

    @candidate.op("l2norm", "fwd", dtypes=["f32"])
    def l2norm(call):
        x = call.inputs["x"]
        return {"output": x / np.sqrt((x * x).sum(-1, keepdims=True) + call.attribute("eps", 1e-6))}

    candidate.serve()
    """

    def __init__(self, name: str, version: str = "", device: str = "host", notes: Iterable[str] = (),
                 bitwise_pack_invariant: bool = False) -> None:
        self.name = name
        self.version = version
        self.device = device
        self.notes = list(notes)
        self.bitwise_pack_invariant = bitwise_pack_invariant
        self.capabilities: dict[tuple[str, str], Capability] = {}
        self.model_modes: list[str] = []
        self._model: ModelHandler | None = None

    def op(self, op: str, direction: str = "fwd", *, dtypes: Iterable[str] = ("f32",), variant: str = "",
           limits: Limits = Limits(), approximations: Iterable[Approximation] = ()) -> Callable[[Handler], Handler]:
        """Registers a function Call -> {output name: array}; it may write into `call.outputs` instead."""

        def register(handler: Handler) -> Handler:
            self.capabilities[op, direction] = Capability(op, direction, list(dtypes), handler, variant, limits,
                                                          list(approximations))
            return handler

        return register

    def chunk_gated_delta_rule(self, function: Callable[..., Any] | None = None, **options: Any) -> Any:
        """Registers a function with FLA's signature, forward and backward (see `torch_ops.delta_rule`)."""
        from .torch_ops import register_delta_rule

        return register_delta_rule(self, "chunk_gated_delta_rule", function, **options)

    def recurrent_gated_delta_rule(self, function: Callable[..., Any] | None = None, **options: Any) -> Any:
        from .torch_ops import register_delta_rule

        return register_delta_rule(self, "recurrent_gated_delta_rule", function, **options)

    def model_forward(self, modes: Iterable[str]) -> Callable[[ModelHandler], ModelHandler]:
        """Registers a function (folder, dtype, mode, inputs, gradients) -> outputs that runs a whole model."""

        def register(handler: ModelHandler) -> ModelHandler:
            self.model_modes = list(modes)
            self._model = handler
            return handler

        return register

    def hello(self) -> dict[str, Any]:
        return {"type": "hello", "protocol": PROTOCOL_VERSION, "name": self.name, "version": self.version,
                "device": self.device, "bitwise_pack_invariant": self.bitwise_pack_invariant,
                "memory_checked": False, "notes": self.notes, "model_modes": self.model_modes,
                "capabilities": [item.json() for item in self.capabilities.values()]}

    def answer_model(self, header: dict[str, Any], payload: bytearray) -> tuple[dict[str, Any], bytearray]:
        """The answer to model_forward. What the library refuses by ValueError is its refusal."""
        result: dict[str, Any] = {"type": "result", "id": header["id"], "status": "ok", "message": "", "outputs": {}}
        start = time.perf_counter()
        try:
            if self._model is None:
                raise NotSupported(f"{self.name} runs no whole models")
            inputs = {name: tensor.decode(name, json, payload) for name, json in header["inputs"].items()}
            outputs = self._model(header["folder"], header["dtype"], header["mode"], inputs,
                                  bool(header.get("gradients", False)))
            device.wait()
        except (*REFUSALS, ValueError) as refusal:
            result.update(status="not_supported", message=_sentence(refusal, named=False))
            return result, bytearray()
        except Exception as error:
            result.update(_failure(error))
            return result, bytearray()
        result["seconds"] = time.perf_counter() - start
        answer = bytearray()
        for name, value in outputs.items():
            result["outputs"][name] = tensor.encode(np.asarray(value, np.float32), "f32", answer)
        return result, answer

    def answer(self, header: dict[str, Any], payload: bytearray) -> tuple[dict[str, Any], bytearray]:
        """The answer to a call; an exception of the kernel becomes a status with its sentence."""
        call = Call.from_message(header, payload)
        before = bytes(payload)
        start = time.perf_counter()
        result: dict[str, Any] = {"type": "result", "id": call.ident, "status": "ok", "message": "",
                                  "variant": "", "outputs": {}}
        try:
            capability = self._capability(call)
            result["variant"] = capability.variant
            for name, value in (capability.handler(call) or {}).items():
                if call.wants(name):
                    call.store(name, np.asarray(value))
            device.wait()
            seconds = time.perf_counter() - start
            memory = device.memory_report(call.copies)
        except REFUSALS as refusal:
            result.update(status="not_supported", message=_sentence(refusal, named=False))
            return result, bytearray()
        except Exception as error:  # The kernel's own exceptions are its verdict, not the protocol's.
            result.update(_failure(error))
            return result, bytearray()
        result["seconds"] = seconds if call.seconds is None else call.seconds
        answer = bytearray()
        result["outputs"] = {name: output.encode(answer) for name, output in call.outputs.items()}
        changed = [name for name, json in header["inputs"].items()
                   if payload[json["offset"]: json["offset"] + json["bytes"]]
                   != before[json["offset"]: json["offset"] + json["bytes"]]]
        result["memory"] = {**memory, "inputs_modified": sorted({*changed, *memory["inputs_modified"]})}
        return result, answer

    def serve(self) -> None:
        """Answers until `bye` or the end of input. What kernels print goes to standard error."""
        stream_in, stream_out = _private_pipes()
        while (frame := read_frame(stream_in)) is not None:
            header, payload = frame
            kind = header.get("type")
            if kind == "bye":
                return
            if kind == "hello":
                write_frame(stream_out, self.hello())
            elif kind == "call":
                write_frame(stream_out, *self.answer(header, payload))
            elif kind == "model_forward":
                write_frame(stream_out, *self.answer_model(header, payload))
            else:
                raise ValueError(f"expected hello, call, model_forward or bye, found {kind!r}")

    def _capability(self, call: Call) -> Capability:
        capability = self.capabilities.get((call.op, call.direction))
        if capability is None:
            raise NotSupported(f"{self.name} offers no {call.op} {call.direction}")
        if call.dtype not in capability.dtypes:
            raise NotSupported(f"{call.op} {call.direction} takes {' and '.join(capability.dtypes)}, not {call.dtype}")
        if "state" in call.inputs and not call.op.endswith("_update") and not capability.limits.state_pool:
            raise NotSupported(f"{self.name} takes no pool of states in {call.op}")
        if call.variant not in ("", capability.variant):
            raise NotSupported(f"{self.name} has no variant {call.variant} of {call.op}")
        return capability


def _failure(error: Exception) -> dict[str, str]:
    """Status and message. After `device_error` packproof starts the program anew, and with it the device."""
    traceback.print_exception(error, file=sys.stderr)
    status = "device_error" if device.lost_by(error) else "invalid_argument"
    return {"status": status, "message": _sentence(error, named=True)}


def _sentence(error: BaseException, named: bool) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    if len(text) > 400:
        text = text[:400] + "..."
    return f"{type(error).__name__}: {text}" if named else text


def _private_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Moves the protocol away from standard output, so that a print cannot break a frame."""
    stream_in = os.fdopen(os.dup(0), "rb")
    stream_out = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    return stream_in, stream_out
