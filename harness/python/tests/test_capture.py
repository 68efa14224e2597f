"""What a step's kernels received; needs torch and h5py."""

from __future__ import annotations

import sys
import tempfile
import types
import unittest
from pathlib import Path

try:
    import h5py
    import torch
except ImportError:
    h5py = torch = None


def fake_kernels() -> types.ModuleType:
    module = types.ModuleType("fake_kernels")
    source = """
import functools

def decorated(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)
    return wrapper

def make(factor):
    @decorated
    def rule(q, g, *, scale=2.0, cu_seqlens=None, **kwargs):
        return q * g * scale * factor, None
    return rule

rule = make(3.0)

def outer(q, g):
    return rule(q, g)[0]
"""
    exec(source, module.__dict__)
    return module


@unittest.skipIf(h5py is None, "torch and h5py are not installed")
class Capture(unittest.TestCase):
    def setUp(self) -> None:
        self.module = sys.modules["fake_kernels"] = fake_kernels()
        self.addCleanup(sys.modules.pop, "fake_kernels")
        self.path = Path(tempfile.mkdtemp()) / "step.h5"

    def record(self, functions: dict, step) -> "h5py.File":
        from packproof_candidate.capture import capture

        with capture(self.path, batch={"position_ids": torch.tensor([[0, 1, 0]]), "max_length_q": 2}, functions=functions):
            step()
        file = h5py.File(self.path)
        self.addCleanup(file.close)
        return file

    def test_values_strides_gradients_and_missing_metadata(self) -> None:
        held = self.module.rule  # A reference taken before the capture, as model code holds it.
        q = torch.arange(6.0).view(3, 2).T.requires_grad_()
        file = self.record({"chunk_gated_delta_rule": ("fake_kernels:rule",)},
                           lambda: held(q, torch.full((2, 3), 0.5), cu_seqlens=None, state=1)[0].sum().backward())
        call = file["calls/00000"]
        self.assertEqual(call.attrs["op"], "chunk_gated_delta_rule")
        self.assertIn("cu_seqlens", call.attrs["missing"])
        self.assertEqual(call.attrs["inputs.state"], 1)
        self.assertEqual(list(call["inputs/q"].attrs["strides"]), [1, 2])
        self.assertEqual(call["outputs/output"][1, 2], 5 * 0.5 * 2 * 3)
        self.assertEqual(call["gradients/d_q"][0, 0], 3.0)
        self.assertEqual(call["gradients/d_output"][0, 0], 1.0)
        self.assertEqual(list(file["batch/position_ids"][0]), [0, 1, 0])
        self.assertEqual(file["batch"].attrs["max_length_q"], 2)

    def test_the_function_is_itself_again(self) -> None:
        before = self.module.rule(torch.ones(1), torch.ones(1))
        self.record({"a": ("fake_kernels:rule",)}, lambda: None)
        self.assertEqual(self.module.rule(torch.ones(1), torch.ones(1)), before)
        self.assertEqual(len(h5py.File(self.path)), 1)

    def test_a_kernel_inside_a_kernel_is_one_call(self) -> None:
        file = self.record({"a": ("fake_kernels:rule",), "b": ("fake_kernels:outer",)},
                           lambda: self.module.outer(torch.ones(1), torch.ones(1)))
        self.assertEqual([call.attrs["op"] for call in file["calls"].values()], ["b"])


if __name__ == "__main__":
    unittest.main()
