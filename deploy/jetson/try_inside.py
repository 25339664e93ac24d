"""What try-emulated.sh does inside: imports every service, then runs a graph whose local model onnxruntime computes.

Needs nothing but what install.sh has installed. Exit status 0 where all of it worked.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import platform
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import services

SECONDS = 6.0
PACKAGES = ("numpy", "pyzmq", "opencv-python-headless", "torch", "onnx", "onnxscript", "onnxruntime", "av", "uvloop")
FOREIGN = {"page": "web", "trace": "otel"}
"""Services whose libraries come with an extra that is not installed here."""


def main() -> int:
    print(platform.machine(), "Python", platform.python_version(), *(f"{name} {version(name)}" for name in PACKAGES))
    for module in sorted(each.name for each in pkgutil.iter_modules(services.__path__)):
        try:
            importlib.import_module(f"services.{module}")
            print(f"services.{module}: imported")
        except ImportError as error:
            print(f"services.{module}: {error} (extra {FOREIGN[module]})")
    with tempfile.TemporaryDirectory() as folder:
        answers = Path(folder) / "answers.jsonl"
        command = [sys.executable, "-m", "clownfish", "run", "puppets:test/0", "--seconds", str(SECONDS), "--fast"]
        command += ["--no-baselines", "--output", str(answers), "--set", 'local.engine="onnxruntime"']
        subprocess.run(command, check=True, env={**os.environ, "CLOWNFISH_CACHE": folder})
        lines = [json.loads(line) for line in answers.read_text(encoding="utf-8").splitlines()]
    live = [line for line in lines if line["revision"] == 0]
    helped = sum(line["source"] != "local" for line in lines)
    print(f"{len(live)} windows answered, {helped} answers with the cloud's help")
    return 0 if live else 1


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # in order with what the graph says
    sys.exit(main())
