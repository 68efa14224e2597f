"""python3 -m packproof_candidate doctor: what is installed, against known bugs of packed sequences; then a proof.

The table holds faults that keep sequences from being kept apart, or that a packed run meets first. Its rows name
where they are described. `--packproof PROGRAM` adds at most a minute of judging on this machine.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import re
import subprocess
import sys
from dataclasses import dataclass
from typing import Callable, Mapping

PACKAGES = ("torch", "triton", "transformers", "flash-linear-attention", "fla-core", "causal-conv1d", "flash-attn",
            "flash-qla", "flashinfer-python", "numpy")

Version = tuple[int, ...]
Installed = Mapping[str, Version]


@dataclass(frozen=True)
class KnownBug:
    """A row of the table. `applies` sees every installed version."""

    applies: Callable[[Installed], bool]
    what: str
    remedy: str
    url: str


def _between(package: str, first: Version, below: Version) -> Callable[[Installed], bool]:
    return lambda installed: package in installed and first <= installed[package] < below


def _without_kernels(installed: Installed) -> bool:
    return "fla-core" not in installed and "flash-linear-attention" not in installed


KNOWN_BUGS = (
    KnownBug(_between("fla-core", (0,), (0, 5, 1)),
             "chunk_gated_delta_rule: an empty sequence corrupts the one after it; grouped value heads are accepted and computed wrong (0.4.2)",
             "install flash-linear-attention 0.5.1 or later",
             "https://github.com/fla-org/flash-linear-attention/releases"),
    KnownBug(_between("fla-core", (0, 5, 1), (0, 6, 1)),
             "use_gate_in_kernel with rows after cu_seqlens[-1]: the gradients of A_log and dt_bias sum over unwritten rows",
             "end the pack at its last sequence, or give g",
             "https://github.com/fla-org/flash-linear-attention"),
    KnownBug(_between("transformers", (5, 2), (5, 9)),
             "seq_idx and cu_seq_lens_q never reach the delta-net layers: every packed batch leaks",
             "install transformers 5.9 or later",
             "https://github.com/huggingface/transformers/pull/45034"),
    KnownBug(lambda installed: _between("transformers", (5, 9), (5, 20))(installed) and _without_kernels(installed),
             "without flash-linear-attention, seq_idx and cu_seq_lens_q are accepted and ignored",
             "install flash-linear-attention and causal-conv1d, or transformers 5.20 or later, which refuses",
             "https://github.com/huggingface/transformers/pull/45034"),
    KnownBug(_between("transformers", (5, 2), (5, 14)),
             "the cached recurrent state takes the dtype of the convolution's: bf16 models round it at every step",
             "install transformers 5.14 or later",
             "https://github.com/huggingface/transformers"),
    KnownBug(_between("transformers", (5, 2), (5, 15)),
             "padding in a continued multi-token segment is not masked in delta-net layers",
             "install transformers 5.15 or later",
             "https://github.com/huggingface/transformers/pull/47087"),
    KnownBug(_between("causal-conv1d", (0,), (1, 6, 2)),
             "the forward reads seq_idx past its end where the last tile is not full",
             "give seq_idx a few elements of room, or a padded length",
             "https://github.com/Dao-AILab/causal-conv1d/pull/117"),
    KnownBug(lambda installed: "fla-core" in installed and _between("triton", (3, 4), (3, 7, 1))(installed),
             "on Hopper GPUs flash-linear-attention refuses its backward with this Triton (RuntimeError)",
             "install triton 3.7.1 or later, or tilelang",
             "https://github.com/fla-org/flash-linear-attention/issues/640"),
)

ADVICE = "With position_ids alone, the default of DataCollatorWithFlattening, no version keeps delta-net states apart: " \
         "use return_seq_idx=True and return_flash_attn_kwargs=True (packproof inspect BATCH says what a batch lacks)."


def parse_version(text: str) -> Version:
    """The leading numbers: "2.11.0+cu130" is (2, 11, 0)."""
    return tuple(int(number) for number in re.match(r"[0-9.]*", text)[0].strip(".").split(".") if number)


def installed_versions() -> dict[str, str]:
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def findings(versions: Mapping[str, str]) -> list[KnownBug]:
    """The rows that apply to these versions."""
    installed = {package: parse_version(text) for package, text in versions.items()}
    return [bug for bug in KNOWN_BUGS if bug.applies(installed)]


PROOFS = (
    ("an empty sequence between others", "op=chunk_gated_delta_rule k=16 v=16 hk=1 hv=1 lens=5,0,3 seed=1"),
    ("grouped value heads", "op=chunk_gated_delta_rule k=16 v=16 hk=1 hv=2 lens=5,3 seed=1"),
    ("the convolution at boundaries", "op=causal_conv1d dtype=f32 lens=1,2,3 seed=1"),
)


def prove(packproof: str, seconds: float) -> bool:
    """Judges what is installed by a few cases; true when it conforms as far as it was judged."""
    candidate = f"{sys.executable} -m packproof_candidate fla"
    command = [packproof, "run", "--candidate", candidate, "--no-shrink", "--check", "reference", "--time-limit", "30"]
    for _, line in PROOFS:
        command += ["--case", line]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        print(f"proof: not finished within {seconds:.0f} s")
        return True
    except OSError as error:
        print(f"proof: '{packproof}' cannot be started: {error.strerror}")
        return False
    print("proof: " + ", ".join(what for what, _ in PROOFS))
    print(run.stdout.strip() or run.stderr.strip())
    return run.returncode in (0, 3)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="packproof_candidate doctor", description=__doc__.splitlines()[0])
    parser.add_argument("--packproof", help="the program: judge what is installed by a few cases too")
    parser.add_argument("--seconds", type=float, default=60.0, help="for the proof, at most (default 60)")
    options = parser.parse_args(arguments)
    versions = installed_versions()
    print("installed: " + (", ".join(f"{name} {version}" for name, version in versions.items()) or "none of " + ", ".join(PACKAGES)))
    found = findings(versions)
    for bug in found:
        print(f"KNOWN BUG  {bug.what}\n           {bug.remedy}\n           {bug.url}")
    print(f"{len(found)} of {len(KNOWN_BUGS)} known bugs apply to these versions")
    print(ADVICE)
    sound = not found
    if options.packproof:
        if importlib.util.find_spec("fla") is None:
            print("proof: flash-linear-attention is not installed, nothing to judge")
        else:
            sound = prove(options.packproof, options.seconds) and sound
    return 0 if sound else 1
