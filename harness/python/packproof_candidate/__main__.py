"""python3 -m packproof_candidate fla | causal_conv1d | transformers, and doctor"""

from __future__ import annotations

import argparse
import importlib
import sys

ADAPTERS = {
    "fla": "flash-linear-attention: on the GPU, else in Triton's interpreter",
    "causal_conv1d": "the causal-conv1d package (needs a GPU)",
    "transformers": "whole models by transformers, its collator and the kernels installed",
}


def main() -> None:
    if sys.argv[1:2] == ["doctor"]:
        from . import doctor

        sys.exit(doctor.main(sys.argv[2:]))
    parser = argparse.ArgumentParser(prog="packproof_candidate",
                                     description="Serves an installed library to packproof over standard input and output.")
    parser.add_argument("adapter", choices=ADAPTERS,
                        help="; ".join(f"{name}: {text}" for name, text in ADAPTERS.items()))
    parser.add_argument("--stand-in", action="store_true",
                        help="transformers on a GPU: FLA's convolution in place of a causal_conv1d that is not installed")
    arguments = parser.parse_args()
    if arguments.stand_in and arguments.adapter != "transformers":
        parser.error("--stand-in: expected with transformers")
    options = {"stand_in": True} if arguments.stand_in else {}
    importlib.import_module(f".{arguments.adapter}", __package__).main(**options)


if __name__ == "__main__":
    main()
