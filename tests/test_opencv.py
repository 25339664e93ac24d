"""OpenCV as we take it: silent unless asked, and one that is older than PyPI's, as a Jetson's and Debian's are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.videos import write_video

BROKEN = (
    "from clownfish.opencv import cv2; import numpy as np\n"
    "cv2.imdecode(np.frombuffer(b'\\x89PNG\\r\\n\\x1a\\nxxxxx', np.uint8), 1)\n"
    "cv2.VideoCapture('/nowhere.mp4', cv2.CAP_FFMPEG)\n"
)


def run(program: str, *arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**{k: v for k, v in os.environ.items() if not k.startswith("OPENCV_")}, **environment},
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return done.stdout + done.stderr


def test_what_opencv_cannot_read_it_does_not_speak_of_unless_it_is_told_to() -> None:
    assert run(BROKEN) == ""
    assert "WARN" in run(BROKEN, OPENCV_LOG_LEVEL="WARNING")


@pytest.mark.parametrize("lacks", ["utils", "CAP_PROP_N_THREADS", "setLogLevel"])
def test_an_older_opencv_reads_videos_too(lacks: str, tmp_path: Path) -> None:
    """4.8, with JetPack 6, has no cv2.utils.logging; 4.6, with Debian 12, no CAP_PROP_N_THREADS; 5.0 no setLogLevel."""
    program = (
        "import cv2, sys; vars(cv2).pop(sys.argv[2], None)\n"
        "from clownfish.sources import open_source; import clownfish.sources.camera\n"
        "print(sum(1 for _ in open_source(sys.argv[1], None)))"
    )
    video = write_video(tmp_path / "clip.mp4", 7)
    assert run(program, str(video), lacks).strip() == "7"
