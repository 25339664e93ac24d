"""`clownfish run`: a source through the whole graph, answers kept, a picture drawn; and what it says of bad input."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from clownfish.zoo import read_classes
from tests.fusers import write_fuser

pytestmark = pytest.mark.graph


def clownfish(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "clownfish", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)


def test_a_run_answers_every_window_scores_them_and_draws_a_picture(tmp_path: Path) -> None:
    answers, picture = tmp_path / "answers.jsonl", tmp_path / "run.png"
    done = clownfish(
        "run", "shapes:test/0", "--seconds", "6", "--fast", "--output", str(answers), "--picture", str(picture)
    )
    assert done.returncode == 0, done.stderr
    results = [json.loads(line) for line in answers.read_text().splitlines()]
    windows = (6 * 30 - 16) // 4 + 1
    assert [r["t"] for r in results if r["revision"] == 0] == list(range(windows))
    assert sorted(r["t"] for r in results if r["final"]) == list(range(windows))
    assert any(r["source"] == "remote" for r in results), "the in-box cloud answered for some"
    for said in ("edge-only", "cloud-only", "fused live", "fused final", f"{windows} / {windows} / 0 / 0"):
        assert said in done.stdout
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_run_fuses_by_what_was_learnt_and_refuses_what_was_learnt_for_other_models(tmp_path: Path) -> None:
    shapes = read_classes("zoo:shapes/local")
    answers = tmp_path / "answers.jsonl"
    run = ("run", "shapes:test/0", "--seconds", "4", "--fast", "--output", str(answers), "--set")

    def with_fuser(weights: str) -> tuple[str, ...]:
        return (*run, f'fusion.method={{kind = "recurrent", weights = "{weights}"}}')

    done = clownfish(*with_fuser(write_fuser(tmp_path / "fitting", "recurrent", shapes)))
    assert done.returncode == 0, done.stderr
    results = [json.loads(line) for line in answers.read_text().splitlines()]
    windows = (4 * 30 - 16) // 4 + 1
    assert sorted(r["t"] for r in results if r["final"]) == list(range(windows))
    refused = clownfish(*with_fuser(write_fuser(tmp_path / "other", "recurrent", ("sit", "stand"))))
    assert refused.returncode != 0
    assert "compared with the fuser" in refused.stderr + refused.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "no-such-video.mp4"], "no-such-video.mp4"),
        (["run", "shapes:test/0", "--pair", "zoo:nothing"], "nothing/pair.toml: cannot be read"),
        (["run", "shapes:test/0", "--set", "fusion.teta=1"], "fusion.teta: unknown key"),
        (["run", "shapes:test/0", "--set", "nonsense"], "expected KEY=VALUE"),
        (["config", "check", "no-such.toml"], "no-such.toml: cannot be read"),
    ],
)
def test_what_a_user_can_mend_is_said_in_words_without_a_traceback(arguments: list[str], says: str) -> None:
    done = clownfish(*arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_the_schema_names_every_section() -> None:
    done = clownfish("config", "schema")
    assert done.returncode == 0
    assert {"streams", "local", "filter", "uplink", "fusion", "sinks", "router", "worker"} <= set(
        json.loads(done.stdout)["properties"]
    )
