"""The timeline picture: spans are joined rightly, and a PNG comes out."""

from __future__ import annotations

import pytest

from clownfish.evaluation.timeline import Timeline, draw
from clownfish.sources.truth import Context, Truth

CLASSES = ("bow", "clap", "wave")


def timeline(**more) -> Timeline:
    answers = {"edge": {0: "bow", 1: "bow", 2: "wave", 4: "wave"}}
    return Timeline("test", CLASSES, fps=4.0, frames=32, size=16, stride=4, answers=answers, **more)


def test_neighbours_with_one_label_are_one_span_and_a_gap_parts_them() -> None:
    drawn = timeline()
    assert drawn.spans(drawn.answers["edge"]) == [(3.0, 2.0, "bow"), (5.0, 1.0, "wave"), (7.0, 1.0, "wave")]


def test_a_picture_is_written_with_and_without_truth(tmp_path) -> None:
    pytest.importorskip("matplotlib")
    truth = Truth((Context(0, 10, "bow"), Context(12, 40, "wave")))
    for name, drawn in (
        ("plain", timeline()),
        ("full", timeline(truth=truth, rho={1: 0.5}, beta={0: 0.0, 1: 0.9}, arrivals={0: 2})),
    ):
        path = tmp_path / "new" / f"{name}.png"
        draw(drawn, path)
        assert path.read_bytes().startswith(b"\x89PNG")
