"""Dumps: what is recorded, what is refused, and that files are whole."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clownfish.codecs.png import Png
from clownfish.errors import DatasetError, SourceError
from clownfish.evaluation import dump as dumps
from clownfish.evaluation.dump import KINDS, Dump, Header, ModelIdentity, load_dump, write_dump
from clownfish.evaluation.recording import record
from clownfish.messages import Pixels
from clownfish.models.base import Inference
from clownfish.models.description import DISCARD_CLASSES
from clownfish.opencv import resized
from clownfish.sources.truth import Context, Truth
from tests.videos import frame

CLASSES = ("bow", "clap", "wave")
HEADER = Header(
    stream="s",
    source_sha256="0" * 64,
    local=ModelIdentity("small", "1" * 64, "2" * 64),
    remote=ModelIdentity("large", "3" * 64, "4" * 64),
    classes=CLASSES,
    size=4,
    stride=2,
    width=32,
    height=24,
    codec="png",
    precision="fp32",
)


class Brightness:
    """A model without weights: its feature is the window's mean of each channel, its answer their shares."""

    name = "brightness"
    classes = CLASSES
    window_size = HEADER.size

    def infer(self, windows: Sequence[Sequence[Pixels]]) -> Inference:
        feature = np.array([np.mean(window, axis=(0, 1, 2)) + 1 for window in windows], np.float32)
        return Inference(p=feature / feature.sum(1, keepdims=True), feature=feature)


class Reversed(Brightness):
    """Answers the other way round."""

    def infer(self, windows: Sequence[Sequence[Pixels]]) -> Inference:
        answer = super().infer(windows)
        return Inference(p=answer.p[:, ::-1], feature=answer.feature)


class Sender(Brightness):
    """An early-discard model: sends what is bright."""

    classes = DISCARD_CLASSES

    def infer(self, windows: Sequence[Sequence[Pixels]]) -> Inference:
        send = np.array([np.mean(window) / 255 for window in windows], np.float32)
        return Inference(p=np.stack([1 - send, send], axis=1), feature=send[:, None])


def recorded(frames: int = 11, **options: Any) -> Dump:
    return record(HEADER, map(frame, range(frames)), Brightness(), Reversed(), Png(), **options)


def test_a_dump_holds_what_the_models_say_of_every_window_and_what_every_frame_costs() -> None:
    dump = recorded(11)
    small = [resized(frame(n), 32, 24) for n in range(11)]
    windows = [small[first : first + 4] for first in range(0, 8, 2)]
    assert dump.t.tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(dump.p_local, Brightness().infer(windows).p)
    np.testing.assert_array_equal(dump.feature, Brightness().infer(windows).feature)
    np.testing.assert_array_equal(dump.p_remote, Reversed().infer(windows).p)
    assert dump.frame_bytes.tolist() == [len(Png().encode(pixels)) for pixels in small]


def test_a_dump_comes_back_from_its_file_as_it_went(tmp_path: Path) -> None:
    dump, path = recorded(), tmp_path / "new" / "folder" / "s.npz"
    write_dump(path, dump)
    back = load_dump(path, HEADER)
    assert back.header == dump.header
    for column, kind in KINDS.items():
        np.testing.assert_array_equal(getattr(back, column), getattr(dump, column))
        assert getattr(back, column).dtype == kind
    assert [file.name for file in path.parent.iterdir()] == ["s.npz"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"stride": 4}, "stride is 2 in the dump and 4 here"),
        ({"classes": ("bow", "clap")}, r"classes is \['bow', 'clap', 'wave'\] in the dump and \['bow', 'clap'\] here"),
        ({"local": ModelIdentity("small", "a" * 64, "2" * 64)}, "local.weights_sha256 is 111111111111… in the dump"),
        ({"remote": ModelIdentity("large", "3" * 64, "b" * 64)}, "remote.description_sha256 is 444444444444… in the"),
        ({"source_sha256": "c" * 64}, "source_sha256 is 000000000000… in the dump and cccccccccccc… here"),
        ({"codec": "jpeg", "size": 8}, "size is 4 in the dump and 8 here; codec is 'png' in the dump and 'jpeg' here"),
    ],
)
def test_a_dump_that_does_not_fit_is_refused_with_every_difference_named(
    tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    write_dump(tmp_path / "s.npz", recorded())
    with pytest.raises(DatasetError, match=said):
        load_dump(tmp_path / "s.npz", dataclasses.replace(HEADER, **changes))


def truncated(data: bytes) -> bytes:
    return data[: len(data) // 2]


def flipped(data: bytes) -> bytes:
    at = data.index(b"p_local.npy") + 45  # behind the name, and 20 bytes more of the member's own header
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize("spoil", [truncated, flipped, lambda data: b"", lambda data: b"no zip at all"])
def test_a_damaged_file_is_refused_and_not_trusted(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "s.npz"
    write_dump(path, recorded())
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(DatasetError, match=r"s\.npz: is no whole dump .* delete it"):
        load_dump(path)


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        ({"format": "clownfish-dump/9"}, "is of format 'clownfish-dump/9', expected 'clownfish-dump/2'"),
        ({"format": "clownfish-dump/1"}, "`clownfish eval dump` .* brings a former format up to date"),
        ({"format": "clownfish-dump/2"}, "is no whole dump"),
        ({"format": 2}, "is no whole dump"),
        ({}, "is no whole dump"),
        ([], "is no whole dump"),
        (dataclasses.asdict(HEADER) | {"x": 1}, "is no whole dump"),
        (dataclasses.asdict(HEADER) | {"remote": None}, "is no whole dump"),
    ],
)
def test_a_header_of_another_kind_is_refused(tmp_path: Path, tree: object, said: str) -> None:
    path = tmp_path / "s.npz"
    dump = recorded()
    columns = {name: getattr(dump, name) for name in KINDS}
    np.savez(path, header=np.array(json.dumps(tree)), **columns)
    with pytest.raises(DatasetError, match=said):
        load_dump(path)


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        ("p_remote", np.zeros((2, 3), np.float32), "do not belong to 4 windows of 3 classes"),
        ("label", np.zeros(4, np.int16), "do not belong to 4 windows of 3 classes, 11 frames"),
        ("p_discard", np.zeros(11, np.float32), "do not belong to 4 windows"),
        ("remote_ms", np.zeros(4, np.float64), "column remote_ms holds float64, expected float32"),
    ],
)
def test_columns_that_do_not_belong_together_are_refused(
    tmp_path: Path, column: str, values: np.ndarray, said: str
) -> None:
    write_dump(tmp_path / "s.npz", dataclasses.replace(recorded(), **{column: values}))
    with pytest.raises(DatasetError, match=said):
        load_dump(tmp_path / "s.npz")


def test_equal_answers_make_equal_files_but_for_the_times(tmp_path: Path) -> None:
    def timeless() -> Dump:
        unknown = np.full(4, np.nan, np.float32)
        return dataclasses.replace(recorded(11), local_ms=unknown, remote_ms=unknown)

    for name in ("a", "b"):
        write_dump(tmp_path / name, timeless())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_labels_are_the_true_class_of_every_frame_and_minus_one_outside_contexts() -> None:
    truth = Truth((Context(1, 4, "wave"), Context(6, 9, "bow")))
    dump = recorded(11, truth=truth)
    assert dump.label.tolist() == [-1, 2, 2, 2, -1, -1, 0, 0, 0, -1, -1]
    assert recorded(11).label.tolist() == [-1] * 11
    with pytest.raises(DatasetError, match="names 'jump' "):
        recorded(11, truth=Truth((Context(0, 4, "jump"),)))


def test_the_early_discard_model_and_the_times_of_both_models_have_columns() -> None:
    dump = recorded(11, discard=Sender())
    windows = [[resized(frame(n), 32, 24) for n in range(first, first + 4)] for first in range(0, 8, 2)]
    np.testing.assert_array_equal(dump.p_discard, Sender().infer(windows).p[:, 1])
    assert dump.discards
    assert (dump.local_ms > 0).all()
    assert (dump.remote_ms > 0).all()
    assert np.isnan(recorded(11).p_discard).all()
    assert not recorded(11).discards


def test_a_missing_dump_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such dump; make it with `clownfish eval dump`"):
        load_dump(tmp_path / "s.npz")


def test_a_write_that_breaks_off_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s.npz"
    write_dump(path, recorded(11))

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(dumps.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_dump(path, recorded(17))
    assert load_dump(path).frames == 11
    assert [file.name for file in tmp_path.iterdir()] == ["s.npz"]


def test_a_source_that_breaks_off_gives_no_dump() -> None:
    def frames() -> Iterator[Pixels]:
        yield from map(frame, range(6))
        raise SourceError("the file is cut off")

    with pytest.raises(SourceError, match="cut off"):
        record(HEADER, frames(), Brightness(), Reversed(), Png())


def test_a_stream_shorter_than_a_window_is_an_error() -> None:
    with pytest.raises(DatasetError, match="stream s has 3 frames; one window needs 4"):
        recorded(3)


def test_headers_that_differ_have_files_of_their_own() -> None:
    other = dataclasses.replace(HEADER, local=ModelIdentity("small", "a" * 64, "2" * 64))
    paths = {dumps.dump_path(Path("d"), header) for header in (HEADER, other, dataclasses.replace(HEADER))}
    assert len(paths) == 2


def test_evaluation_starts_without_torch() -> None:
    modules = "compare, dump, former, journal, metrics, recorder, recording, replay, report, cli"
    code = f"import sys; from clownfish.evaluation import {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
