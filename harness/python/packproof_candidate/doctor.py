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
            "flash-qla", "flashinfer-python", "tilelang", "numpy")
GPU = "gpu compute capability"  # Stands beside the packages: (9, 0) is Hopper.

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
    """transformers then runs its torch code for the rule, the convolution or both."""
    return "fla-core" not in installed or "causal-conv1d" not in installed


def _hopper_refuses(installed: Installed) -> bool:
    return (installed.get(GPU) == (9, 0) and "fla-core" in installed and "tilelang" not in installed
            and _between("triton", (3, 4), (3, 7, 1))(installed))


# Where a row gives no upper version, the fault stands in the newest release that was read or run: bounds end after it.
KNOWN_BUGS = (
    KnownBug(_between("fla-core", (0,), (0, 5, 1)),
             "chunk_gated_delta_rule: an empty sequence corrupts the one after it (seen in 0.4.2 and 0.5.0)",
             "install flash-linear-attention 0.5.1 or later",
             "https://github.com/fla-org/flash-linear-attention/releases"),
    KnownBug(_between("fla-core", (0,), (0, 5)),
             "chunk_gated_delta_rule: grouped value heads (HV > H) are accepted and computed wrong (seen in 0.4.2)",
             "install flash-linear-attention 0.5.1 or later",
             "https://github.com/fla-org/flash-linear-attention/releases"),
    KnownBug(_between("fla-core", (0, 5), (0, 6, 1)),
             "use_gate_in_kernel with rows after cu_seqlens[-1]: the gradients of A_log and dt_bias sum over unwritten rows",
             "end the pack at its last sequence, or give g",
             "https://github.com/fla-org/flash-linear-attention/issues"),
    KnownBug(_between("transformers", (5, 2), (5, 9)),
             "seq_idx and cu_seq_lens_q never reach the delta-net layers: every packed batch leaks",
             "install transformers 5.9 or later",
             "https://github.com/huggingface/transformers/pull/45034"),
    KnownBug(lambda installed: _between("transformers", (5, 9), (5, 20))(installed) and _without_kernels(installed),
             "without flash-linear-attention, cu_seq_lens_q is accepted and ignored, without causal-conv1d seq_idx",
             "install flash-linear-attention and causal-conv1d, or transformers 5.20 or later, which refuses",
             "https://github.com/huggingface/transformers/pull/45034"),
    KnownBug(_between("transformers", (5, 2), (5, 14)),
             "the cached recurrent state takes the dtype of the convolution's: bf16 models round it at every step",
             "install transformers 5.14 or later",
             "https://github.com/huggingface/transformers/releases"),
    KnownBug(_between("transformers", (5, 2), (5, 15)),
             "padding is not masked in delta-net layers in a continued multi-token segment, nor in a batch of one row",
             "install transformers 5.15 or later",
             "https://github.com/huggingface/transformers/pull/47087"),
    KnownBug(_between("transformers", (0,), (5, 15)),
             "flash attention without cu_seq_lens finds sequences by position 0: those that begin at another one are missed",
             "install transformers 5.15 or later, or give cu_seq_lens_q/k and max_length_q/k",
             "https://github.com/huggingface/transformers/pull/47525"),
    KnownBug(lambda installed: _between("transformers", (5, 2), (5, 16))(installed) and "fla-core" not in installed,
             "without flash-linear-attention, q and k are normalised in the model's dtype: errors of 1e-3 in bf16",
             "install flash-linear-attention, or transformers 5.20 or later",
             "https://github.com/huggingface/transformers/pull/47625"),
    KnownBug(_between("transformers", (5, 2), (5, 16)),
             "new models draw A_log from the logarithm of (0, 16): in bf16 a draw of 0 makes a head dead for ever",
             "install transformers 5.16 or later, or draw A_log in float32",
             "https://github.com/huggingface/transformers/pull/47944"),
    KnownBug(_between("causal-conv1d", (0,), (1, 7)),
             "the forward reads seq_idx past its end where the last tile is not full",
             "install causal-conv1d 1.7.0 or later",
             "https://github.com/Dao-AILab/causal-conv1d/pull/117"),
    KnownBug(_between("causal-conv1d", (0,), (1, 7, 1)),
             "rows with seq_idx < 0 are zeros forward, but the backward takes them for one sequence: gradients of padding are not zero",
             "keep the gradient at rows with seq_idx < 0 zero",
             "https://github.com/Dao-AILab/causal-conv1d/pull/78"),
    KnownBug(_between("causal-conv1d", (1, 5, 3), (1, 7, 1)),
             "the backward misreads the final states' gradient from channel 32 (16 bits: 64) on, unless its channels lie side by side",
             "give that gradient as [B, W - 1, D].transpose(1, 2)",
             "https://github.com/Dao-AILab/causal-conv1d/issues"),
    KnownBug(_hopper_refuses,
             "on this Hopper GPU flash-linear-attention refuses its backward with this Triton (RuntimeError)",
             "install triton 3.7.1 or later, or tilelang",
             "https://github.com/fla-org/flash-linear-attention/issues/640"),
    KnownBug(lambda installed: GPU not in installed and "fla-core" in installed and _between("numpy", (2, 3), (99,))(installed),
             "without a GPU, Triton's interpreter does not work with numpy 2.3 or later",
             "install 'numpy<2.3'",
             "https://github.com/triton-lang/triton/issues"),
)

REFUSES = "transformers 5.20 and later refuse seq_idx without causal-conv1d, and cu_seq_lens_q without flash-linear-attention " \
          "(ValueError): install both to train on packed sequences."
ADVICE = "With position_ids alone, the default of DataCollatorWithFlattening, no version keeps delta-net states apart: " \
         "use return_seq_idx=True and return_flash_attn_kwargs=True (packproof inspect BATCH says what a batch lacks)."


def parse_version(text: str) -> Version:
    """The leading numbers: "2.11.0+cu130" is (2, 11, 0)."""
    return tuple(int(number) for number in re.match(r"[0-9.]*", text)[0].strip(".").split(".") if number)


def compute_capability() -> str | None:
    """Of the first GPU, "9.0"; none where the driver names none."""
    try:
        query = subprocess.run(["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"], capture_output=True,
                               text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    lines = query.stdout.split()
    return lines[0] if lines and re.fullmatch(r"[0-9]+\.[0-9]+", lines[0]) else None


def installed_versions() -> dict[str, str]:
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    capability = compute_capability()
    return versions | ({GPU: capability} if capability else {})


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
    command = [packproof, "run", "--candidate", candidate, "--no-shrink", "--check", "reference", "--time-limit", str(seconds)]
    for _, line in PROOFS:
        command += ["--case", line]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        print(f"proof: not finished within {seconds:.0f} s (on a GPU the first calls compile and tune: --seconds 300)")
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
    numbers = {package: parse_version(text) for package, text in versions.items()}
    if _between("transformers", (5, 20), (99,))(numbers) and _without_kernels(numbers):
        print(REFUSES)
    sys.stdout.flush()
    sound = not found
    if options.packproof:
        missing = [name for name, module in (("flash-linear-attention", "fla"), ("torch", "torch"), ("triton", "triton"))
                   if importlib.util.find_spec(module) is None]
        if missing:
            print(f"proof: {' and '.join(missing)} not installed, nothing to judge: pip install {' '.join(missing)}")
        else:
            sound = prove(options.packproof, options.seconds) and sound
    return 0 if sound else 1
