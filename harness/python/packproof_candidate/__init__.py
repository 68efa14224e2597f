"""The Python side of packproof's process protocol (harness/candidate/PROTOCOL.md)."""

from .call import Call, NotSupported
from .candidate import Approximation, Candidate, Limits
from .capture import capture

__all__ = ["Approximation", "Call", "Candidate", "Limits", "NotSupported", "capture"]
