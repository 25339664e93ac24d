"""Engines and `clownfish model bench`, in a process of their own: `engines_apart.py` and `model_bench_apart.py`.

After networks have gone through torch.export to OpenVINO and ONNX Runtime, a process of a thousand other tests crashes
later on in an unrelated place (seen with Python 3.11.7, torch 2.13, openvino 2026.4, onnxruntime 1.32: an integer
constant of `os.read` is gone). Alone they pass; so they get a process, and cannot take other tests down with them.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LONGEST_S = 400


@pytest.mark.timeout(LONGEST_S + 20)
@pytest.mark.parametrize("name", ["engines_apart", "model_bench_apart"])
def test_engines_answer_as_they_should(name: str) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"tests/{name}.py"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LONGEST_S)
    print(done.stdout[-2000:])  # what was skipped, and why
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
