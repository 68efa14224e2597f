"""Inputs on a device, their guards, and faults that show late; torch's "cpu:0" stands for the GPU."""

import os
import unittest
from unittest import mock

import numpy as np
import torch
from test_protocol import call_message

from packproof_candidate import Candidate, device
from packproof_candidate import transformers as stack
from packproof_candidate.call import Call
from packproof_candidate.device import GuardedCopy, lost_by, memory_report
from packproof_candidate.fla import HOPPER_REFUSAL, FlaCandidate
from packproof_candidate.torch_ops import delta_rule, keywords_of, to_torch


def strided() -> np.ndarray:
    """[1, 3, 2] within rows of five elements, as a view of a fused projection is."""
    storage = np.arange(12, dtype=np.float32)
    return np.lib.stride_tricks.as_strided(storage, (1, 3, 2), (60, 20, 4))


def copy_of(array: np.ndarray, dtype: torch.dtype = torch.float32) -> GuardedCopy:
    return GuardedCopy("x", array, dtype, "cpu:0")


class Copies(unittest.TestCase):
    def test_values_strides_and_alignment_are_kept(self) -> None:
        copy = copy_of(strided())
        np.testing.assert_array_equal(copy.tensor.numpy(), strided())
        self.assertEqual(copy.tensor.stride(), (15, 5, 1))
        self.assertEqual(copy.tensor.data_ptr() - copy.buffer.data_ptr(), 512)
        self.assertEqual(copy.written(), (False, False))

    def test_bf16_integers_and_tensors_without_elements(self) -> None:
        bits = torch.tensor([1.5, -2.0]).bfloat16()
        copy = copy_of(bits.view(torch.int16).numpy().view(np.uint16), torch.bfloat16)
        self.assertTrue(torch.equal(copy.tensor, bits))
        self.assertEqual(copy_of(np.array([0, 3, 7]), torch.int64).tensor.tolist(), [0, 3, 7])
        self.assertEqual(copy_of(np.empty((0, 3), np.float32)).tensor.shape, (0, 3))

    def test_the_guards_poison_what_reads_them(self) -> None:
        copy = copy_of(np.ones(4, np.float32))
        around = copy.buffer.view(torch.float32)
        self.assertTrue(torch.isnan(around[127]) and torch.isnan(around[132]))

    def test_writes_are_found_where_they_fall(self) -> None:
        for offset, report in ((508, ["written_outside"]), (512, ["inputs_modified"]), (524, ["inputs_modified"]),
                               (560, ["written_outside"])):
            with self.subTest(offset):  # 524 lies in the gap between two rows.
                copy = copy_of(strided())
                copy.buffer[offset] ^= 1
                found = memory_report([copy_of(strided()), copy])
                self.assertEqual([name for name, inputs in found.items() if inputs == ["x"]], report)

    def test_a_write_of_equal_numbers_but_other_bits_is_found(self) -> None:
        copy = copy_of(np.zeros(2, np.float32))
        copy.tensor.neg_()
        self.assertEqual(copy.written(), (False, True))


def rule_message() -> tuple[dict, bytearray]:
    shapes = {"q": (1, 3, 1, 2), "k": (1, 3, 1, 2), "v": (1, 3, 1, 2), "g": (1, 3, 1), "beta": (1, 3, 1)}
    tensors = {name: (np.ones(shape, np.float32), "f32") for name, shape in shapes.items()}
    tensors["cu_seqlens"] = (np.array([0, 1, 3]), "i64")
    return call_message("chunk_gated_delta_rule", tensors, {"output": {"dtype": "f32", "shape": [1, 3, 1, 2]}})


class Calls(unittest.TestCase):
    def answer(self, rule) -> dict:
        candidate = Candidate("toy")
        candidate.chunk_gated_delta_rule(rule, device="cpu:0", backward=False)
        return candidate.answer(*rule_message())[0]

    def test_a_kernel_that_writes_into_its_input_or_beside_it(self) -> None:
        def rule(q, k, v, g, beta, scale, initial_state, output_final_state, cu_seqlens, use_qk_l2norm_in_kernel):
            k[0, 0] = 7
            torch.as_strided(g, (1,), (1,), g.storage_offset() - 1).fill_(0)
            return v * 1, None

        memory = self.answer(rule)["memory"]
        self.assertEqual(memory, {"written_outside": ["g"], "inputs_modified": ["k"]})

    def test_every_tensor_of_the_call_is_on_the_device(self) -> None:
        header, payload = rule_message()
        call = Call.from_message(header, payload)
        for name in call.inputs:
            self.assertEqual(to_torch(call, name, "cpu:0").device.type, "cpu")
        self.assertEqual([copy.name for copy in call.copies], list(call.inputs))

    def test_gradients_reach_the_copies(self) -> None:
        def rule(q, k, v, g, beta, scale, initial_state, output_final_state, cu_seqlens, use_qk_l2norm_in_kernel):
            return 2 * v, None

        header, payload = rule_message()
        header["direction"] = "bwd"
        header["outputs"] = {"d_v": {"dtype": "f32", "shape": [1, 3, 1, 2]}}
        header["inputs"]["d_output"] = header["inputs"]["q"]
        call = Call.from_message(header, payload)
        found = delta_rule(call, rule, keywords_of(rule), "cpu:0")
        np.testing.assert_array_equal(found["d_v"], np.full((1, 3, 1, 2), 2))


class Faults(unittest.TestCase):
    def setUp(self) -> None:
        self.gpu = mock.Mock()
        self.gpu.cuda.OutOfMemoryError = MemoryError
        patched = mock.patch.object(device, "_torch_with_gpu", lambda: self.gpu)
        patched.start()
        self.addCleanup(patched.stop)

    def status(self, kernel) -> str:
        candidate = Candidate("toy")
        candidate.op("l2norm")(kernel)
        message = call_message("l2norm", {"x": (np.ones((1, 2)), "f32")}, {"output": {"dtype": "f32", "shape": [1, 2]}})
        return candidate.answer(*message)[0]["status"]

    def test_a_fault_that_shows_when_the_gpu_is_waited_for_is_the_calls(self) -> None:
        self.assertEqual(self.status(lambda call: {}), "ok")
        self.gpu.cuda.synchronize.side_effect = RuntimeError("CUDA error: an illegal memory access was encountered")
        self.assertEqual(self.status(lambda call: {}), "device_error")

    def test_an_exception_with_a_healthy_gpu_is_the_kernels(self) -> None:
        def kernel(call: Call) -> None:
            raise RuntimeError("shapes do not fit")

        self.assertEqual(self.status(kernel), "invalid_argument")

    def test_no_memory_left_asks_for_a_fresh_process(self) -> None:
        self.assertTrue(lost_by(MemoryError()))
        self.assertFalse(lost_by(KeyError()))

    def test_whole_models_too(self) -> None:
        candidate = Candidate("toy")
        candidate.model_forward(["both"])(lambda *_: {})
        header = {"id": 3, "folder": "tiny", "dtype": "f32", "mode": "both", "inputs": {}}
        self.gpu.cuda.synchronize.side_effect = RuntimeError("CUDA error: device-side assert triggered")
        self.assertEqual(candidate.answer_model(header, bytearray())[0]["status"], "device_error")


class Choices(unittest.TestCase):
    def test_the_interpreter_can_be_chosen_beside_a_gpu(self) -> None:
        for value, expected in (("1", False), ("0", True)):
            with mock.patch.object(torch.cuda, "is_available", lambda: True), \
                    mock.patch.dict("os.environ", {"TRITON_INTERPRET": value}):
                self.assertEqual(device.on_gpu(), expected)

    def test_what_fla_refuses_on_hopper_is_refused(self) -> None:
        def rule(q, k, v, g, beta, scale, initial_state, output_final_state, cu_seqlens, use_qk_l2norm_in_kernel):
            raise RuntimeError(f"Triton >= 3.4.0 {HOPPER_REFUSAL} for gated chunk_bwd_dqkwg")

        candidate = Candidate("toy")
        candidate.op("chunk_gated_delta_rule")(FlaCandidate.delta_rule(mock.Mock(device="cpu"), rule))
        self.assertEqual(candidate.answer(*rule_message())[0]["status"], "not_supported")

    def test_on_a_gpu_the_stand_in_is_asked_for_and_tf32_is_off(self) -> None:
        installed = {"fla": True, "causal_conv1d": False}
        with mock.patch.object(stack, "_installed", installed.get), mock.patch.dict("os.environ"):
            self.assertEqual(stack._prepare_gpu(False)[0], stack.EXACT)
            self.assertIn("--stand-in", stack._prepare_gpu(False)[1])
            self.assertFalse(torch.backends.cudnn.allow_tf32)
            self.assertEqual(os.environ["TRITON_F32_DEFAULT"], "ieee")

    def test_the_stand_in_finds_boundaries_where_the_ids_are(self) -> None:
        seen = {}

        def convolution(x, cu_seqlens, **_):
            seen["cu_seqlens"] = cu_seqlens
            return x, None

        function = stack._stand_in_convolution(convolution).causal_conv1d_fn
        with mock.patch.object(torch, "tensor", wraps=torch.tensor) as made:
            function(torch.zeros(1, 2, 5), torch.zeros(2, 4), seq_idx=torch.tensor([[0, 0, 1, 2, 2]]))
        self.assertEqual(seen["cu_seqlens"].tolist(), [0, 2, 3, 5])
        self.assertEqual(made.call_args_list[-1].kwargs["device"], torch.device("cpu"))


if __name__ == "__main__":
    unittest.main()
