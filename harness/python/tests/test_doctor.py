"""The table of known bugs."""

import contextlib
import io
import unittest
from unittest import mock

from packproof_candidate import doctor
from packproof_candidate.doctor import GPU, KNOWN_BUGS, findings, main, parse_version


def urls(versions: dict[str, str]) -> str:
    return " ".join(bug.what for bug in findings(versions))


class Doctor(unittest.TestCase):
    def test_versions_are_their_leading_numbers(self) -> None:
        self.assertEqual(parse_version("2.11.0+cu130"), (2, 11, 0))
        self.assertEqual(parse_version("5.9.0.dev0"), (5, 9, 0))
        self.assertLess(parse_version("0.4.2"), parse_version("0.5.1"))

    def test_the_release_with_the_boundary_bug_is_named(self) -> None:
        for version in ("0.4.2", "0.5.0"):
            self.assertIn("empty sequence", urls({"fla-core": version}))
        self.assertNotIn("empty sequence", urls({"fla-core": "0.5.1"}))

    def test_other_releases_of_fla(self) -> None:
        self.assertIn("grouped value heads", urls({"fla-core": "0.4.2"}))
        self.assertNotIn("grouped value heads", urls({"fla-core": "0.5.0"}))
        for version, applies in (("0.4.2", False), ("0.5.0", True), ("0.6.0", True), ("0.6.1", False)):
            self.assertEqual("use_gate_in_kernel" in urls({"fla-core": version}), applies, version)

    def test_transformers_by_version_and_by_what_stands_beside_it(self) -> None:
        self.assertIn("never reach", urls({"transformers": "5.8.1", "fla-core": "0.6.0"}))
        self.assertNotIn("never reach", urls({"transformers": "5.9.0", "fla-core": "0.6.0"}))
        kernels = {"fla-core": "0.6.0", "causal-conv1d": "1.6.2"}
        self.assertIn("accepted and ignored", urls({"transformers": "5.19.0"}))
        for missing in kernels:
            present = {name: version for name, version in kernels.items() if name != missing}
            self.assertIn("accepted and ignored", urls({"transformers": "5.19.0"} | present))
        self.assertNotIn("accepted and ignored", urls({"transformers": "5.19.0"} | kernels))
        self.assertEqual(findings({"transformers": "5.23.0"}), [])

    def test_bounds_of_transformers(self) -> None:
        for text, last, first_good in (("cached recurrent state", "5.13.1", "5.14.0"), ("continued multi-token", "5.14.2", "5.15.0"),
                                       ("by position 0", "5.14.2", "5.15.0"), ("normalised in the model", "5.15.0", "5.16.0"),
                                       ("head dead", "5.15.0", "5.16.0")):
            self.assertIn(text, urls({"transformers": last}))
            self.assertNotIn(text, urls({"transformers": first_good}))

    def test_causal_conv1d_as_it_was_read(self) -> None:
        for text, last, first_good in (("past its end", "1.6.2", "1.7.0"), ("gradients of padding", "1.7.0", "1.7.1"),
                                       ("final states' gradient", "1.7.0", "1.7.1")):
            self.assertIn(text, urls({"causal-conv1d": last}))
            self.assertNotIn(text, urls({"causal-conv1d": first_good}))

    def test_what_depends_on_the_gpu(self) -> None:
        hopper = {GPU: "9.0", "fla-core": "0.6.1", "triton": "3.6.0"}
        self.assertIn("Hopper", urls(hopper))
        self.assertNotIn("Hopper", urls(hopper | {GPU: "8.9"}))
        self.assertNotIn("Hopper", urls(hopper | {"triton": "3.7.1"}))
        self.assertNotIn("Hopper", urls(hopper | {"tilelang": "0.1.5"}))
        interpreter = {"fla-core": "0.6.1", "numpy": "2.3.0"}
        self.assertIn("interpreter", urls(interpreter))
        self.assertNotIn("interpreter", urls(interpreter | {"numpy": "2.2.6"}))
        self.assertNotIn("interpreter", urls(interpreter | {GPU: "9.0"}))

    def test_what_the_newest_transformers_refuses_is_said(self) -> None:
        for kernels, said in (({}, True), ({"fla-core": "0.6.1", "causal-conv1d": "1.7.1"}, False)):
            out = io.StringIO()
            with mock.patch.object(doctor, "installed_versions", lambda: {"transformers": "5.23.0"} | kernels), \
                    contextlib.redirect_stdout(out):
                self.assertEqual(main([]), 0)
            self.assertEqual("refuse seq_idx" in out.getvalue(), said)

    def test_nothing_installed_is_nothing_found(self) -> None:
        self.assertEqual(findings({}), [])

    def test_every_row_says_where_it_is_described(self) -> None:
        for bug in KNOWN_BUGS:
            self.assertTrue(bug.url.startswith("https://"), bug)
            self.assertTrue(bug.remedy)

    def test_a_program_that_is_missing_is_a_sentence(self) -> None:
        self.assertIn(main(["--packproof", "/no/such/program"]), (0, 1))


if __name__ == "__main__":
    unittest.main()
