"""Frames, tensors and calls of the process protocol; run by harness/ci/check_python_candidates."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import textwrap
import unittest

import numpy as np

from packproof_candidate import Approximation, Candidate, Limits, NotSupported
from packproof_candidate.call import Call
from packproof_candidate.frame import MAGIC, ProtocolError, read_frame, write_frame
from packproof_candidate.tensor import NUMPY_DTYPES, Output, decode, encode


def frame(header: dict, payload: bytes = b"") -> bytes:
    stream = io.BytesIO()
    write_frame(stream, header, payload)
    return stream.getvalue()


def call_message(op: str, inputs: dict[str, tuple[np.ndarray, str]], outputs: dict[str, dict],
                 **fields: object) -> tuple[dict, bytearray]:
    payload = bytearray()
    tensors = {name: encode(array, dtype, payload) for name, (array, dtype) in inputs.items()}
    return {"type": "call", "id": 7, "op": op, "direction": "fwd", "attributes": {}, "inputs": tensors,
            "outputs": outputs, "poison": 0xA5, **fields}, payload


class Frames(unittest.TestCase):
    def test_round_trip_and_end(self) -> None:
        stream = io.BytesIO(frame({"type": "bye", "text": "é"}, b"\x00\x01") + frame({"a": 1}))
        self.assertEqual(read_frame(stream), ({"type": "bye", "text": "é"}, bytearray(b"\x00\x01")))
        self.assertEqual(read_frame(stream), ({"a": 1}, bytearray()))
        self.assertIsNone(read_frame(stream))

    def test_what_is_no_frame_is_refused(self) -> None:
        good = frame({"a": 1}, b"1234")
        cases = {
            "begins with": b"garbage " * 4,
            "found the end": good[:-1],
            "in JSON": MAGIC + struct.pack("<QQ", 4, 0) + b"{a:1",
            "JSON object": MAGIC + struct.pack("<QQ", 3, 0) + b"[1]",
            "within its limits": MAGIC + struct.pack("<QQ", 1 << 40, 0),
        }
        for sentence, data in cases.items():
            with self.subTest(sentence), self.assertRaisesRegex(ProtocolError, sentence):
                read_frame(io.BytesIO(data))


class Tensors(unittest.TestCase):
    def test_strided_input_is_a_writable_view(self) -> None:
        payload = bytearray(np.arange(10, dtype="<f4").tobytes())
        json = {"dtype": "f32", "shape": [2, 3], "strides": [5, 1], "offset": 4, "bytes": 4 * 8}
        array = decode("x", json, payload)
        np.testing.assert_array_equal(array, [[1, 2, 3], [6, 7, 8]])
        array[1, 2] = -1
        self.assertEqual(np.frombuffer(payload, "<f4")[8], -1)

    def test_contradictions_are_refused(self) -> None:
        good = {"dtype": "f32", "shape": [2, 2], "strides": [2, 1], "offset": 0, "bytes": 16}
        payload = bytearray(16)
        decode("x", good, payload)
        for change in ({"bytes": 12}, {"offset": 4}, {"offset": -1}, {"dtype": "f8"}, {"strides": [2]},
                       {"strides": [-2, 1]}, {"shape": [2, -2]}):
            with self.subTest(change), self.assertRaisesRegex(ProtocolError, "x"):
                decode("x", {**good, **change}, payload)

    def test_empty_tensor(self) -> None:
        json = {"dtype": "i64", "shape": [0, 3], "strides": [3, 1], "offset": 0, "bytes": 0}
        self.assertEqual(decode("x", json, bytearray()).shape, (0, 3))
        self.assertEqual(Output("y", json, 255).encode(bytearray())["bytes"], 0)

    def test_output_keeps_its_strides_and_poisoned_gaps(self) -> None:
        output = Output("y", {"dtype": "f16", "shape": [2, 2], "strides": [3, 1]}, 0xA5)
        output.array[...] = [[1, 2], [3, 4]]
        payload = bytearray(b"123")
        json = output.encode(payload)
        self.assertEqual((json["offset"], json["bytes"], json["strides"]), (16, 10, [3, 1]))
        np.testing.assert_array_equal(decode("y", json, payload), output.array)
        self.assertEqual(bytes(payload[20:22]), b"\xa5\xa5")


class Calls(unittest.TestCase):
    def setUp(self) -> None:
        self.candidate = Candidate("toy", "1.0", notes=["a note"])
        x = np.arange(8, dtype=np.float32).reshape(1, 4, 2)
        self.inputs = {"x": (x, "f32"), "cu_seqlens": (np.array([0, 1, 3]), "i64")}
        self.outputs = {"output": {"dtype": "f32", "shape": [1, 4, 2]}}

    def answer(self, **fields: object) -> tuple[dict, np.ndarray | None]:
        message = call_message("causal_conv1d", self.inputs, self.outputs, **fields)
        header, payload = self.candidate.answer(*message)
        output = header["outputs"].get("output")
        return header, None if output is None else decode("output", output, payload)

    def test_rows_after_the_last_sequence_stay_poisoned(self) -> None:
        self.candidate.op("causal_conv1d")(lambda call: {"output": 2 * call.inputs["x"], "unwanted": 1})
        header, output = self.answer()
        self.assertEqual((header["status"], header["id"]), ("ok", 7))
        np.testing.assert_array_equal(output[0, :3], [[0, 2], [4, 6], [8, 10]])
        self.assertEqual(output[0, 3].tobytes(), b"\xa5" * 8)

    def test_with_ids_every_row_is_owned(self) -> None:
        self.inputs["seq_idx"] = (np.array([[0, 1, 1, -1]]), "i32")
        self.candidate.op("causal_conv1d")(lambda call: {"output": np.zeros((1, 4, 2))})
        self.assertEqual(self.answer()[1].tobytes(), bytes(32))

    def test_writing_in_place(self) -> None:
        def handler(call: Call) -> None:
            call.outputs["output"].array[...] = 3

        self.candidate.op("causal_conv1d")(handler)
        np.testing.assert_array_equal(self.answer()[1], np.full((1, 4, 2), 3))

    def test_refusals_carry_their_sentence(self) -> None:
        def refuse(call: Call) -> None:
            raise NotSupported("only on Sundays")

        self.candidate.op("causal_conv1d")(refuse)
        self.assertEqual(self.answer()[0]["message"], "only on Sundays")
        self.assertEqual(self.answer()[0]["status"], "not_supported")
        header = self.answer(direction="bwd")[0]
        self.assertEqual((header["status"], header["message"]), ("not_supported", "toy offers no causal_conv1d bwd"))
        self.inputs["x"] = (np.zeros((1, 4, 2)), "f64")
        self.assertEqual(self.answer()[0]["message"], "causal_conv1d fwd takes f32, not f64")
        self.inputs["x"] = (np.zeros((1, 4, 2)), "f32")
        self.assertEqual(self.answer(variant="fast")[0]["status"], "not_supported")

    def test_pools_of_states_reach_only_who_declares_them(self) -> None:
        def rule(call: Call) -> dict:
            return {"output": call.inputs["q"], "state": call.inputs["state"] + 1}

        message = call_message("chunk_gated_delta_rule",
                               {"q": (np.ones((1, 2)), "f32"), "state": (np.ones((3, 1)), "f32")},
                               {"output": {"dtype": "f32", "shape": [1, 2]}, "state": {"dtype": "f32", "shape": [3, 1]}})
        self.candidate.op("chunk_gated_delta_rule")(rule)
        header = self.candidate.answer(*message)[0]
        self.assertEqual((header["status"], header["message"]),
                         ("not_supported", "toy takes no pool of states in chunk_gated_delta_rule"))
        self.candidate.op("chunk_gated_delta_rule", limits=Limits(state_pool=True))(rule)
        self.assertEqual(self.candidate.answer(*message)[0]["status"], "ok")

    def test_exceptions_and_wrong_shapes_fail_the_call(self) -> None:
        self.candidate.op("causal_conv1d")(lambda call: {"output": np.zeros((2, 2))})
        header = self.answer()[0]
        self.assertEqual(header["status"], "invalid_argument")
        self.assertIn("the kernel gave output of shape [2, 2], expected [1, 4, 2]", header["message"])

    def test_changed_inputs_are_reported(self) -> None:
        def handler(call: Call) -> dict:
            call.inputs["x"][0, 0, 0] = 9
            return {"output": call.inputs["x"]}

        self.candidate.op("causal_conv1d")(handler)
        self.assertEqual(self.answer()[0]["memory"], {"inputs_modified": ["x"], "written_outside": []})

    def test_hello_declares_limits_and_approximations(self) -> None:
        self.candidate.op("causal_conv1d", dtypes=["f32", "f16"], limits=Limits(grouped_heads=False, head_k_dims=(64,)),
                          approximations=[Approximation("f16", 2**-11, "taps")])(lambda call: None)
        hello = self.candidate.hello()
        self.assertEqual(hello["notes"], ["a note"])
        self.assertEqual(hello["capabilities"], [{
            "op": "causal_conv1d", "direction": "fwd", "dtypes": ["f32", "f16"], "variants": [],
            "limits": {"grouped_heads": False, "head_k_dims": [64]},
            "approximations": [{"dtype": "f16", "unit_roundoff": 2**-11, "what": "taps"}]}])

    def test_model_learns_whether_gradients_are_wanted(self) -> None:
        seen = []

        def run(folder: str, dtype: str, mode: str, inputs: dict, gradients: bool) -> dict:
            seen.append((folder, dtype, mode, gradients))
            return {"grad.lm_head.weight": np.ones((2, 2))} if gradients else {}

        self.candidate.model_forward(["both"])(run)
        header = {"id": 3, "folder": "tiny", "dtype": "f32", "mode": "both", "inputs": {}}
        self.assertEqual(self.candidate.answer_model(header, bytearray())[0]["outputs"], {})
        outputs = self.candidate.answer_model({**header, "gradients": True}, bytearray())[0]["outputs"]
        self.assertEqual(outputs["grad.lm_head.weight"]["shape"], [2, 2])
        self.assertEqual(seen, [("tiny", "f32", "both", False), ("tiny", "f32", "both", True)])

    def test_bf16_inputs_are_bits(self) -> None:
        self.assertEqual(NUMPY_DTYPES["bf16"], np.uint16)


class Serving(unittest.TestCase):
    def test_prints_do_not_reach_the_pipe(self) -> None:
        program = textwrap.dedent("""
            from packproof_candidate import Candidate
            candidate = Candidate("noisy")
            @candidate.op("l2norm")
            def l2norm(call):
                print("a kernel that talks", flush=True)
                return {"output": call.inputs["x"]}
            candidate.serve()
        """)
        header, payload = call_message("l2norm", {"x": (np.ones((1, 2)), "f32")},
                                       {"output": {"dtype": "f32", "shape": [1, 2]}})
        sent = frame({"type": "hello", "protocol": 1}) + frame(header, bytes(payload)) + frame({"type": "bye"})
        run = subprocess.run([sys.executable, "-c", program], input=sent, capture_output=True, timeout=60, check=True)
        answers = io.BytesIO(run.stdout)
        self.assertEqual(read_frame(answers)[0]["name"], "noisy")
        self.assertEqual(read_frame(answers)[0]["status"], "ok")
        self.assertIsNone(read_frame(answers))
        self.assertIn(b"a kernel that talks", run.stderr)


if __name__ == "__main__":
    unittest.main()
