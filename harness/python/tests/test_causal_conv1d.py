"""What the adapter of causal-conv1d refuses before it asks the package; run by harness/ci/check_python_candidates."""

from __future__ import annotations

import sys
import unittest
from unittest import mock

import numpy as np

from packproof_candidate import NotSupported
from packproof_candidate.call import Call
from packproof_candidate.causal_conv1d import convolution, update
from packproof_candidate.tensor import encode


def call(channels: int, width: int, *, states: bool = False, **metadata: np.ndarray) -> Call:
    payload = bytearray()
    tensors = {"x": (np.zeros((1, 4, channels), np.float32), "f32"),
               "weight": (np.zeros((channels, width), np.float32), "f32")}
    if states:
        tensors["initial_state"] = (np.zeros((1, channels, width - 1), np.float32), "f32")
    tensors.update({name: (array, "i32") for name, array in metadata.items()})
    inputs = {name: encode(array, dtype, payload) for name, (array, dtype) in tensors.items()}
    outputs = {"output": {"dtype": "f32", "shape": [1, 4, channels]}}
    return Call.from_message({"op": "causal_conv1d", "direction": "fwd", "id": 1, "inputs": inputs,
                              "outputs": outputs}, payload)


class Refusals(unittest.TestCase):
    def test_shapes_and_metadata(self) -> None:
        boundaries = {"cu_seqlens": np.array([0, 1, 4], np.int32)}
        ids = {"seq_idx": np.array([[0, 1, 1, 1]], np.int32)}
        cases = {
            "widths 2 to 4, not 5": call(8, 5),
            "a multiple of 8 channels, not 12": call(12, 4),
            "seq_idx, not cu_seqlens": call(8, 4, **boundaries),
            "seq_idx or states, not both": call(8, 4, states=True, **ids),
        }
        for sentence, refused in cases.items():
            with self.subTest(sentence), self.assertRaisesRegex(NotSupported, sentence):
                convolution(refused)
        with self.assertRaisesRegex(NotSupported, "widths 2 to 4, not 5"):
            update(call(8, 5))

    def test_what_is_not_refused_reaches_the_package(self) -> None:
        with mock.patch.dict(sys.modules, {"causal_conv1d": None}), self.assertRaises(ImportError):
            convolution(call(8, 4))


if __name__ == "__main__":
    unittest.main()
