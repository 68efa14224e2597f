"""The table of known bugs."""

import unittest

from packproof_candidate.doctor import KNOWN_BUGS, findings, main, parse_version


def urls(versions: dict[str, str]) -> str:
    return " ".join(bug.what for bug in findings(versions))


class Doctor(unittest.TestCase):
    def test_versions_are_their_leading_numbers(self) -> None:
        self.assertEqual(parse_version("2.11.0+cu130"), (2, 11, 0))
        self.assertEqual(parse_version("5.9.0.dev0"), (5, 9, 0))
        self.assertLess(parse_version("0.4.2"), parse_version("0.5.1"))

    def test_the_release_with_the_boundary_bug_is_named(self) -> None:
        self.assertIn("empty sequence", urls({"fla-core": "0.4.2"}))
        self.assertNotIn("empty sequence", urls({"fla-core": "0.5.1"}))

    def test_transformers_by_version_and_by_what_stands_beside_it(self) -> None:
        self.assertIn("never reach", urls({"transformers": "5.8.1", "fla-core": "0.6.0"}))
        self.assertIn("accepted and ignored", urls({"transformers": "5.19.0"}))
        self.assertNotIn("accepted and ignored", urls({"transformers": "5.19.0", "fla-core": "0.6.0"}))
        self.assertEqual(findings({"transformers": "5.23.0"}), [])

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
