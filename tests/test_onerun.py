"""What a run left behind, put together."""

from __future__ import annotations

import json
from pathlib import Path

from clownfish.cli.onerun import read_answers, score_labels
from clownfish.cli.options import RunOptions, build_config
from clownfish.cli.outcome import Outcome
from clownfish.sources import truth_of


def test_a_run_is_scored_though_the_last_count_of_its_frames_was_lost(tmp_path: Path) -> None:
    source, answers = "shapes:test/0", tmp_path / "answers.jsonl"
    outcome = Outcome(build_config(RunOptions(source), tmp_path))
    truth = truth_of(source)
    assert truth is not None
    label = truth.contexts[0].label
    result = {"revision": 0, "label": label, "beta": 0.0, "rho": None, "final": False, "source": "local", "lag": None}
    answers.write_text("".join(json.dumps({**result, "t": t}) + "\n" for t in range(222)))
    outcome.frames = 875  # as a status from a moment before the end says
    read_answers(outcome, answers)
    assert outcome.frames == 221 * 4 + 16
    assert score_labels(outcome.config, truth, outcome.frames, outcome.live).sum() > 0
