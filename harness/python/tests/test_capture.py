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

    def record(self, functions: dict, step, **options) -> "h5py.File":
        from packproof_candidate import capture

        batch = {"position_ids": torch.tensor([[0, 1, 0]]), "max_length_q": 2}
        with capture(self.path, batch=batch, functions=functions, **options):
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
        self.assertEqual(call.attrs["missing"], "cu_seqlens,seq_idx")
        self.assertEqual(call.attrs["layer"], -1)
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


    def test_arguments_that_were_left_out_have_their_defaults(self) -> None:
        file = self.record({"a": ("fake_kernels:make",)}, lambda: self.module.make(2.0))
        self.assertEqual(file["calls/00000"].attrs["inputs.factor"], 2.0)
        file.close()
        self.module.other = eval("lambda q, scale=None, window=(-1, 4), causal=False, what=object: q")
        self.module.other.__module__ = "fake_kernels"
        file = self.record({"a": ("fake_kernels:other",)}, lambda: self.module.other(torch.ones(1)))
        attributes = file["calls/00000"].attrs
        self.assertEqual(attributes["inputs.scale"], "none")
        self.assertEqual(list(attributes["inputs.window"]), [-1, 4])
        self.assertEqual(attributes["inputs.causal"], 0)
        self.assertEqual(attributes["inputs.what"], "object type")

    def test_gradients_of_a_tensor_that_feeds_two_calls_are_each_calls_own(self) -> None:
        q = torch.ones(2, requires_grad=True)
        file = self.record({"a": ("fake_kernels:rule",)}, lambda: sum(
            self.module.rule(q, torch.tensor(g), scale=1.0)[0].sum() for g in (1.0, 2.0)).backward())
        self.assertEqual([float(file[f"calls/0000{i}/gradients/d_q"][0]) for i in range(2)], [3.0, 6.0])
        self.assertEqual(list(q.grad), [9.0, 9.0])

    def test_bfloat16_and_booleans_are_numbers(self) -> None:
        file = self.record({"a": ("fake_kernels:rule",)},
                           lambda: self.module.rule(torch.tensor([1.5, -0.1], dtype=torch.bfloat16), torch.tensor([True, False])))
        q = file["calls/00000/inputs/q"]
        self.assertEqual((q.attrs["dtype"], q.id.get_type().get_size()), ("bfloat16", 2))
        self.assertEqual(list(q[()]), [1.5, float(torch.tensor(-0.1).bfloat16())])
        self.assertEqual(list(file["calls/00000/inputs/g"][()]), [1, 0])

    def test_the_layer_is_that_of_the_module_that_calls(self) -> None:
        class Mixer:
            def __init__(self, layer_idx: int) -> None:
                self.layer_idx = layer_idx

            def forward(self, rule):
                return rule(torch.ones(1), torch.ones(1))

        def step() -> None:
            for layer in (0, 1, 2):
                Mixer(layer).forward(self.module.rule)

        file = self.record({"a": ("fake_kernels:rule",)}, step, layers=[0, 2])
        self.assertEqual([call.attrs["layer"] for call in file["calls"].values()], [0, 2])

    def test_calls_beyond_the_size_are_counted(self) -> None:
        def step() -> None:
            for _ in range(3):
                self.module.rule(torch.ones(8), torch.ones(8))

        file = self.record({"a": ("fake_kernels:rule",)}, step, max_bytes=64)
        self.assertEqual((len(file["calls"]), file.attrs["not_recorded"]), (1, 2))

    def test_what_holds_free_variables_can_still_be_looked_at(self) -> None:
        seen = {}

        def look() -> None:
            frame = sys._getframe(1)
            while frame is not None:
                seen[frame.f_code.co_name] = dict(frame.f_locals)
                frame = frame.f_back

        self.module.look = look
        source = "def make(factor):\n    def rule(q):\n        look()\n        return q * factor\n    return rule\nheld = make(3.0)"
        exec(source, self.module.__dict__)
        self.record({"a": ("fake_kernels:held",)}, lambda: self.module.held(torch.ones(1)))
        self.assertEqual(seen["rule"]["factor"], 3.0)


if __name__ == "__main__":
    unittest.main()
