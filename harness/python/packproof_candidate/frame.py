"""Frames of the process protocol (harness/candidate/PROTOCOL.md): a JSON header and tensor bytes."""

from __future__ import annotations

import json
import struct
from typing import Any, BinaryIO

MAGIC = b"PKPROOF1"
MAX_HEADER_BYTES = 100_000_000
MAX_PAYLOAD_BYTES = 1 << 33
_LENGTHS = struct.Struct("<QQ")


class ProtocolError(Exception):
    """What came through the pipe is no frame, or a frame that contradicts itself."""


def _read_exactly(stream: BinaryIO, count: int, what: str) -> bytearray:
    data = bytearray(count)
    view = memoryview(data)
    done = 0
    while done < count:
        got = stream.readinto(view[done:])
        if not got:
            raise ProtocolError(f"expected {count} bytes of {what}, found the end after {done}")
        done += got
    return data


def read_frame(stream: BinaryIO) -> tuple[dict[str, Any], bytearray] | None:
    """The next header and payload; None at the end of input. The payload is writable."""
    first = stream.read(1)
    if not first:
        return None
    head = first + bytes(_read_exactly(stream, len(MAGIC) + _LENGTHS.size - 1, "frame head"))
    if head[: len(MAGIC)] != MAGIC:
        raise ProtocolError(f"expected a frame that begins with {MAGIC!r}, found {head[:8]!r}")
    header_bytes, payload_bytes = _LENGTHS.unpack(head[len(MAGIC) :])
    if header_bytes > MAX_HEADER_BYTES or payload_bytes > MAX_PAYLOAD_BYTES:
        raise ProtocolError(f"expected a frame within its limits, found {header_bytes} bytes of header "
                            f"and {payload_bytes} bytes of payload")
    text = _read_exactly(stream, header_bytes, "header")
    payload = _read_exactly(stream, payload_bytes, "payload")
    try:
        header = json.loads(text.decode("utf-8"))
    except ValueError as error:
        raise ProtocolError(f"expected a header in JSON, found {error}") from error
    if not isinstance(header, dict):
        raise ProtocolError(f"expected a JSON object as header, found {type(header).__name__}")
    return header, payload


def write_frame(stream: BinaryIO, header: dict[str, Any], payload: bytes | bytearray = b"") -> None:
    text = json.dumps(header, allow_nan=False).encode("utf-8")
    stream.write(MAGIC + _LENGTHS.pack(len(text), len(payload)) + text)
    stream.write(payload)
    stream.flush()
