"""What the adapter of causal-conv1d refuses before it asks the package, and in which layout it asks."""

from __future__ import annotations

import sys
import unittest
from unittest import mock

import numpy as np

from packproof_candidate import NotSupported
from packproof_candidate.call import Call
from packproof_candidate.causal_conv1d import _channel_last, convolution, update
from packproof_candidate.tensor import encode


def call(channels: int, width: int, *, tokens: int = 4, states: bool = False, **metadata: np.ndarray) -> Call:
    payload = bytearray()
    tensors = {"x": (np.zeros((1, tokens, channels), np.float32), "f32"),
               "weight": (np.zeros((channels, width), np.float32), "f32")}
    if states:
        tensors["initial_state"] = (np.zeros((1, channels, width - 1), np.float32), "f32")
    tensors.update({name: (array, "i32") for name, array in metadata.items()})
    inputs = {name: encode(array, dtype, payload) for name, (array, dtype) in tensors.items()}
    outputs = {"output": {"dtype": "f32", "shape": [1, tokens, channels]}}
    return Call.from_message({"op": "causal_conv1d", "direction": "fwd", "id": 1, "inputs": inputs,
                              "outputs": outputs}, payload)


class Refusals(unittest.TestCase):
    def test_shapes_and_metadata(self) -> None:
        boundaries = {"cu_seqlens": np.array([0, 1, 4], np.int32)}
        ids = {"seq_idx": np.array([[0, 1, 1, 1]], np.int32)}
        cases = {
            "widths 2 to 4, not 5": call(8, 5),
            "a multiple of 8 channels, not 12": call(12, 4),
            "at least one token": call(8, 4, tokens=0),
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


class Layout(unittest.TestCase):
    def test_the_strides_that_the_package_checks(self) -> None:
        import torch

        memory = torch.arange(100.0)
        for shape, strides in (((1, 1, 8), (33, 33, 1)), ((1, 3, 8), (33, 8, 1)), ((2, 3, 8), (33, 9, 1)), ((1, 3, 8), (0, 0, 0)),
                               ((2, 3, 8), (24, 8, 1))):
            with self.subTest(shape=shape, strides=strides):
                given = memory.as_strided(shape, strides)
                found = _channel_last(given)
                self.assertEqual(found.stride(), (shape[1] * shape[2], 1, shape[2]))
                self.assertTrue(torch.equal(found, given.transpose(1, 2)))
                self.assertEqual(found.data_ptr() == given.data_ptr(), strides == (24, 8, 1))  # What fits stays between its guards.


if __name__ == "__main__":
    unittest.main()
