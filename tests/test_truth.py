"""Ground truth beside a video: labels by frame, and tables that contradict themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clownfish.errors import DatasetError
from clownfish.sources.truth import Context, Truth, read_truth


def write_truth(folder: Path, *rows: str, header: str = "start_frame,end_frame,label") -> Path:
    (folder / "x.csv").write_text("\n".join([header, *rows]) + "\n")
    return folder / "x.mp4"


def test_a_frame_has_the_label_of_its_context_and_none_between(tmp_path: Path) -> None:
    truth = read_truth(
        write_truth(tmp_path, "0,3,a,clip", "3,5,b,clip", "8,9,a,clip", header="start_frame,end_frame,label,c")
    )
    assert truth is not None
    assert [truth.label_at(n) for n in range(-1, 10)] == [None, *"aaabb", None, None, None, "a", None]
    assert truth.context_at(4) == Context(3, 5, "b")


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 5), st.sampled_from("abc")), max_size=10))
def test_label_at_agrees_with_a_search_through_all_contexts(steps: list[tuple[int, int, str]]) -> None:
    contexts, at = [], 0
    for gap, length, label in steps:
        contexts.append(Context(at + gap, at + gap + length, label))
        at += gap + length
    for n in range(at + 2):
        expected = [context.label for context in contexts if context.start <= n < context.end]
        assert Truth(tuple(contexts)).label_at(n) == (expected[0] if expected else None)


def test_a_video_without_a_table_has_no_truth(tmp_path: Path) -> None:
    assert read_truth(tmp_path / "x.mp4") is None


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (["0,3,a", "2,5,b"], "line 3.*overlap"),
        (["5,8,a", "0,3,b"], "out of order"),
        (["4,4,a"], "empty"),
        (["-1,4,a"], "at least 0"),
        (["0,three,a"], "two whole numbers"),
        (["0,2.5,a"], "two whole numbers"),
        (["0,3"], "label is empty"),
        (["0"], "two whole numbers"),
        (["0,3, "], "label is empty"),
    ],
)
def test_a_truth_that_contradicts_itself_is_an_error(rows: list[str], why: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=f"x.csv.*{why}"):
        read_truth(write_truth(tmp_path, *rows))


@pytest.mark.parametrize("content", [b"", b"a,b,c\n1,2,3\n", b"\xff\xfe\x00"])
def test_a_table_that_is_no_truth_is_an_error(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(DatasetError, match=r"x\.csv"):
        read_truth(tmp_path / "x.mp4")
