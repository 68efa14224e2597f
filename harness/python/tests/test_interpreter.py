"""Triton's interpreter as enable() leaves it, in a process of its own."""

import importlib.util
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

KERNEL = """
from collections import Counter
from packproof_candidate import interpreter
interpreter.enable()
import torch, triton
import triton.language as tl
from triton.runtime import interpreter as runtime

@triton.jit
def twice(x):
    return x * 2

@triton.jit
def kernel(x, y, FAILS: tl.constexpr):
    rows = tl.arange(0, 4)
    tl.static_assert(not FAILS)
    tl.store(y + rows, twice(twice(tl.load(x + rows))))
    tl.store(y, tl.sum(tl.load(x + rows)) + tl.sum(tl.load(x + rows)))

patched, patch, load = [], runtime._patch_builtin, tl.load
runtime._patch_builtin = lambda part, *rest: (patched.append(part), patch(part, *rest))
x, y = torch.arange(4.0), torch.zeros(4)
for fails in (False, True, False):
    try:
        kernel[(1,)](x, y, fails)
    except Exception as error:
        print(type(error).__name__)
    print(y.tolist(), max(Counter(patched).values()), tl.load is load)
    y.zero_()
    patched.clear()
"""


@unittest.skipIf(importlib.util.find_spec("triton") is None, "triton is not installed")
class Interpreter(unittest.TestCase):
    def test_the_language_is_not_patched_at_every_call_and_is_restored(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "kernels.py"
            file.write_text(KERNEL)
            run = subprocess.run([sys.executable, "-W", "ignore", str(file)], capture_output=True, text=True, check=False)
        self.assertEqual(run.returncode, 0, run.stderr)
        # Triton alone patches a class 6 times and more. tl.sum's module sees another part of the language.
        self.assertEqual(run.stdout.splitlines(), ["[12.0, 4.0, 8.0, 12.0] 2 True", "InterpreterError",
                                                   "[0.0, 0.0, 0.0, 0.0] 1 True", "[12.0, 4.0, 8.0, 12.0] 3 True"])


if __name__ == "__main__":
    unittest.main()
