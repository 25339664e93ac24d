"""All sinks: what every one owes, then the file's whole lines, then what a person sees."""

from __future__ import annotations

import contextlib
import errno
import gzip
import inspect
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clownfish.errors import SinkError
from clownfish.messages import End, FusedResult
from clownfish.sinks import SINKS
from clownfish.sinks.base import Running, Sink
from clownfish.sinks.console import Console
from clownfish.sinks.jsonl import JsonLines
from clownfish.sinks.spooled import Spooled
from tests.disks import file_size_limit
from tests.graph.harness import until
from tests.sink_targets import (
    LABELS,
    HttpServer,
    KafkaBroker,
    Mosquitto,
    Subscriber,
    context,
    count,
    event,
    result,
    rows,
    running,
    subscribed,
)

__all__ = ["file_size_limit"]  # a fixture


class Output:
    """A sink of one kind, its real target, and what has come out there: labels, each with its stream."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        self._folder = folder
        self._text = io.StringIO()
        self._closing: list[Callable[[], None]] = []
        self._options: dict[str, Any] = {}
        self._heard: Subscriber | None = None
        path = folder / "out"
        if kind == "console":
            self._options = {"out": self._text}
        elif kind == "parquet":
            pytest.importorskip("pyarrow", reason="the extra `parquet` is not installed")
            self._options = {"folder": str(path)}
        elif kind == "mqtt":
            pytest.importorskip("aiomqtt", reason="the extra `mqtt` is not installed")
            self._broker = Mosquitto(folder / "mosquitto")
            self._broker.start()
            self._closing.append(self._broker.kill)
            self._options = {"host": "127.0.0.1", "port": self._broker.port}
        elif kind == "webhook":
            self._server = HttpServer()
            self._closing.append(self._server.close)
            self._options = {"url": self._server.url}
        elif kind == "kafka":
            self._kafka = KafkaBroker()
            self._options = {"brokers": self._kafka.address}
        else:
            self._options = {"path": str(path)}
        self.path = path

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[Sink]:
        """The sink at its work; closed at the end, with all that it was given."""
        factory: Any = SINKS.get(self.kind)
        given = {"context": context(self._folder)} if "context" in inspect.signature(factory).parameters else {}
        sink: Sink = factory(**self._options, **given)
        async with contextlib.AsyncExitStack() as stack:
            if self.kind == "mqtt":
                self._heard = await stack.enter_async_context(subscribed(self._broker, clean_session=True))
            if isinstance(sink, Running):
                await stack.enter_async_context(running(sink))
            yield sink
            if isinstance(sink, Running):
                if isinstance(sink, Spooled):
                    await until(lambda: sink.gauges()["connected"] == 1, "the target is there", 40)
                await sink.drain(10)
            if self._heard is not None:
                await until(lambda: len(self._items()) >= count(sink, "acked"), "who listens has them", 40)
            sink.close()

    def _items(self) -> list[dict[str, Any]]:
        heard = self._heard.messages if self._heard is not None else []
        return [json.loads(text) for topic, text in heard if topic.endswith(("/event", "/result"))]

    def said(self) -> list[tuple[str, str]]:
        """(stream, label), in order as far as the target has one."""
        if self.kind == "console":
            lines = self._text.getvalue().splitlines()
            return [(line.split()[0], label) for line in lines for label in LABELS if f"  {label}" in line]
        if self.kind == "sqlite":
            found = [rows(self.path, f"SELECT stream, label FROM {table}") for table in ("results", "events")]
            return [(stream, label) for part in found for stream, label in part]
        if self.kind == "parquet":
            import pyarrow.dataset

            tables = [pyarrow.dataset.dataset(each, partitioning="hive") for each in sorted(self.path.iterdir())]
            return [(row["stream"], row["label"]) for table in tables for row in table.to_table().to_pylist()]
        records: list[dict[str, Any]]
        if self.kind == "jsonl":
            records = [json.loads(line) for line in self.path.read_text().splitlines()]
        elif self.kind == "webhook":
            records = self._server.taken()
        elif self.kind == "kafka":
            records = [record for _, record in self._kafka.log()]
        else:
            records = self._items()
        return [(record["stream"], record["label"]) for record in records]

    def close(self) -> None:
        for each in self._closing:
            each()


@pytest.fixture(
    params=[name for name in SINKS.names() if name != "video"]
)  # it has no words: tests/test_sinks_video.py
def output(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Output]:
    made = Output(request.param, tmp_path)
    yield made
    made.close()


async def test_what_is_written_of_either_kind_comes_out_and_streams_are_told_apart(output: Output) -> None:
    items = [result(0, "Archery", "door"), result(0, "Basketball", "yard"), event(1, "BabyCrawling", "door")]
    async with output.open() as sink:
        sink.end(End("never seen", 1, 0, "stopped"))
        for item in items:
            sink.write(item)
        sink.end(End("door", 7, 40, "end of the source"))
    assert sorted(output.said()) == sorted((item.stream, item.label) for item in items)


async def test_what_one_stream_says_comes_out_in_its_order(output: Output) -> None:
    labels = [LABELS[(t * t) % 3] if t % 2 else LABELS[(t + 1) % 3] for t in range(12)]
    changes = [label for label, before in zip(labels, ["", *labels], strict=False) if label != before]
    async with output.open() as sink:
        for t, label in enumerate(labels):
            sink.write(result(t, label))
    said = [label for _, label in output.said()]
    assert said == (changes if output.kind == "console" else labels)


# the file of lines


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results.jsonl"


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_line_holds_the_whole_result(path: Path) -> None:
    sink = JsonLines(path)
    p = np.array([1 / 3, 2 / 3], np.float32)
    sink.write(FusedResult("Tür", 7, 4, 2, p, "b", 2 / 3, None, 0.5, 0.123456789, 3, "fused", True))
    sink.close()
    assert lines(path) == [
        {
            "stream": "Tür",
            "epoch": 7,
            "t": 4,
            "revision": 2,
            "label": "b",
            "confidence": 0.666667,
            "source": "fused",
            "final": True,
            "lag": 3,
            "rho": None,
            "alpha": 0.5,
            "beta": 0.123457,
            "p": [0.333333, 0.666667],
        }
    ]


def test_a_file_is_appended_to_and_its_folders_are_made(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "results.jsonl"
    for t in range(3):
        sink = JsonLines(path)
        sink.write(result(t))
        sink.close()
    assert [line["t"] for line in lines(path)] == [0, 1, 2]


@pytest.mark.parametrize("torn", ['{"stream":"de', "x" * 200_000])
def test_what_a_killed_process_left_of_a_line_is_cut_off(path: Path, torn: str) -> None:
    sink = JsonLines(path)
    sink.write(result(0))
    sink.close()
    with path.open("a") as file:
        file.write(torn)
    sink = JsonLines(path)
    sink.write(result(1))
    sink.close()
    assert [line["t"] for line in lines(path)] == [0, 1]


def test_a_file_without_one_whole_line_begins_anew(path: Path) -> None:
    path.write_text("torn")
    JsonLines(path).close()
    assert path.read_bytes() == b""


def test_a_killed_process_loses_no_line_that_it_wrote(path: Path) -> None:
    program = (
        "import sys, os, signal, numpy as np\n"
        "from clownfish.messages import FusedResult; from clownfish.sinks.jsonl import JsonLines\n"
        "sink = JsonLines(sys.argv[1])\n"
        "for t in range(5):\n"
        "    sink.write(FusedResult('a', 7, t, 0, np.ones(1), 'a', 1.0, None, 1.0, 0.0, None, 'local', False))\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], cwd=Path(__file__).parents[1], timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert [line["t"] for line in lines(path)] == [0, 1, 2, 3, 4]


def test_a_full_disk_is_an_error_per_result_and_writing_goes_on_when_space_is_back(
    path: Path, file_size_limit: Callable[[int | None], None]
) -> None:
    sink = JsonLines(path)
    sink.write(result(0))
    one_line_bytes = path.stat().st_size
    file_size_limit(one_line_bytes + one_line_bytes // 2)
    caught = []
    for t in (1, 2):
        try:
            sink.write(result(t))
        except SinkError as error:
            caught.append(error)
    size_bytes = path.stat().st_size
    file_size_limit(None)
    assert len(caught) == 2
    assert isinstance(caught[0].__cause__, OSError)
    assert caught[0].__cause__.errno == errno.EFBIG
    assert size_bytes == one_line_bytes  # the half line that still fitted is taken back
    sink.write(result(3))
    sink.close()
    assert [line["t"] for line in lines(path)] == [0, 3]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_device_without_space_is_an_error_per_result() -> None:
    sink = JsonLines("/dev/full")
    for t in range(2):
        with pytest.raises(SinkError, match="No space left"):
            sink.write(result(t))
    sink.close()


def test_two_sinks_never_share_a_file(path: Path) -> None:
    first = JsonLines(path)
    with pytest.raises(SinkError, match="another sink"):
        JsonLines(path)
    first.close()
    JsonLines(path).close()


def test_a_path_that_cannot_be_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "results.jsonl"):
        with pytest.raises(SinkError, match="cannot open"):
            JsonLines(path)


def test_a_number_that_json_cannot_hold_is_an_error_and_leaves_no_trace(path: Path) -> None:
    sink = JsonLines(path)
    with pytest.raises(SinkError, match="JSON"):
        sink.write(result(0, beta=float("nan")))
    sink.close()
    assert path.read_bytes() == b""


def test_a_closed_file_takes_no_more(path: Path) -> None:
    sink = JsonLines(path)
    sink.close()
    with pytest.raises(SinkError, match="closed"):
        sink.write(result(0))


# files that are put aside


def every_t(folder: Path) -> list[int]:
    """The windows in all files, in the order of the files' names, the current one last."""
    aside = sorted(each for each in folder.iterdir() if each.name != "results.jsonl")
    texts = [gzip.decompress(f.read_bytes()).decode() if f.suffix == ".gz" else f.read_text() for f in aside]
    return [json.loads(line)["t"] for text in [*texts, path_in(folder).read_text()] for line in text.splitlines()]


def path_in(folder: Path) -> Path:
    return folder / "results.jsonl"


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_that_is_large_enough_is_put_aside_and_no_line_is_lost_or_cut(path: Path, packed: bool) -> None:
    clock = [1_769_860_800.0]
    sink = JsonLines(path, max_mb=0.001, keep=100, gzip=packed, now=lambda: clock[0])
    for t in range(30):
        sink.write(result(t))
        clock[0] += 0.0004  # several in a millisecond, too
    sink.close()
    files = list(path.parent.iterdir())
    assert len(files) > 5
    assert all(each.name.endswith(".gz") == (packed and each != path) for each in files)
    assert all(packed or each.stat().st_size <= 1000 for each in files)
    assert every_t(path.parent) == list(range(30))


def test_of_files_put_aside_the_oldest_are_removed(path: Path) -> None:
    clock = [1_769_860_800.0]
    sink = JsonLines(path, max_mb=0.0003, keep=3, now=lambda: clock[0])
    for t in range(20):
        sink.write(result(t))
        clock[0] += 1
    sink.close()
    assert every_t(path.parent) == [16, 17, 18, 19]


def test_a_file_of_yesterday_is_put_aside_also_by_the_next_process(path: Path) -> None:
    clock = [1_769_860_800.0]
    sink = JsonLines(path, max_hours=24, now=lambda: clock[0])
    sink.write(result(0))
    clock[0] += 11.9 * 3600
    sink.write(result(1))
    assert len(list(path.parent.iterdir())) == 1
    clock[0] += 0.2 * 3600  # past midnight
    sink.write(result(2))
    assert [json.loads(line)["t"] for line in path.read_text().splitlines()] == [2]
    sink.close()
    os.utime(path, (clock[0], clock[0]))
    clock[0] += 24 * 3600
    sink = JsonLines(path, max_hours=24, now=lambda: clock[0])
    sink.write(result(3))
    sink.close()
    assert every_t(path.parent) == [0, 1, 2, 3]
    assert len(list(path.parent.iterdir())) == 3


def test_where_nothing_can_be_put_aside_the_file_goes_on_growing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder in which the process may write files that are there, and make none."""
    sink = JsonLines(path, max_mb=0.0003)
    sink.write(result(0))

    def refuse(self: Path, target: Path) -> None:
        raise PermissionError(errno.EACCES, "no new names here")

    monkeypatch.setattr(Path, "rename", refuse)
    sink.write(result(1))
    monkeypatch.undo()
    sink.close()
    assert every_t(path.parent) == [0, 1]
    assert len(list(path.parent.iterdir())) == 1


def test_what_a_killed_process_left_half_compressed_is_compressed_anew(path: Path) -> None:
    aside = path.with_name("results.20260131T120000.000Z.jsonl")
    aside.write_text('{"t":0}\n')
    aside.with_name(aside.name + ".gz.part").write_bytes(b"half")
    JsonLines(path, gzip=True).close()
    assert sorted(each.name for each in path.parent.iterdir()) == [f"{aside.name}.gz", "results.jsonl"]
    assert gzip.decompress(aside.with_name(f"{aside.name}.gz").read_bytes()) == b'{"t":0}\n'


@pytest.mark.parametrize(("sync", "synced"), [("never", 0), ("always", 4), ("second", 1)])
def test_lines_are_forced_to_disk_as_often_as_was_asked(
    path: Path, sync: Any, synced: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    real = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda fd: (calls.append(fd), real(fd)))
    clock = [0.0]
    sink = JsonLines(path, sync=sync, now=lambda: clock[0])
    for _ in range(4):
        clock[0] += 0.4
        sink.write(result(0))
    sink.close()
    assert len(calls) == synced


@pytest.mark.parametrize("options", [{"max_mb": -1}, {"max_hours": -1}, {"keep": -1}, {"sync": "often"}])
def test_options_that_make_no_sense_are_refused(path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        JsonLines(path, **options)


# what a person sees


def test_each_revision_of_an_event_is_a_line() -> None:
    text = io.StringIO()
    console = Console(text)
    console.write(event(3))
    console.write(event(3, revision=1, state="ended", end_frame=60, end_s=2.0, final=True, source="corrected"))
    console.write(event(5, revision=2, state="withdrawn", end_frame=60, end_s=2.0))
    assert text.getvalue().splitlines() == [
        "dev00  0.8 s to …   75%  Archery  [edge]",
        "dev00  0.8 s to 2.0 s   75%  Archery  (final)  [corrected]",
        "dev00  1.1 s to 2.0 s   75%  Archery  (withdrawn)  [edge]",
    ]


def said(*results: FusedResult | End) -> list[str]:
    text = io.StringIO()
    console = Console(text)
    for each in results:
        if isinstance(each, End):
            console.end(each)
        else:
            console.write(each)
    return text.getvalue().splitlines()


def test_one_line_per_change_of_answer_not_per_window() -> None:
    answers = ["Archery"] * 5 + ["Basketball"] * 5 + ["Archery"]
    shown = said(*[result(t, label) for t, label in enumerate(answers)])
    assert [line.split()[2] for line in shown] == ["0", "5", "10"]


@pytest.mark.parametrize(
    ("source", "lag", "shown"),
    [("local", None, "[edge]"), ("fused", None, "[edge + cloud]"), ("remote", 2, "[cloud, lag 2]")],
)
def test_a_line_says_where_its_answer_comes_from(source: str, lag: int | None, shown: str) -> None:
    assert said(result(0, source=source, lag=lag))[0].endswith(shown)


def test_a_correction_is_marked_and_a_run_of_windows_is_one_line() -> None:
    live = [result(t) for t in range(4)]
    corrections = [result(t, "Basketball", revision=1, source="fused", lag=3) for t in (1, 2, 3)]
    shown = said(*live, *corrections)
    assert len(shown) == 2
    assert "window      1" in shown[1]
    assert "Basketball  (corrected, was Archery)  [edge + cloud, lag 3]" in shown[1]


def test_after_a_correction_of_the_newest_window_the_same_answer_is_no_change() -> None:
    assert len(said(result(0), result(0, "Basketball", revision=1), result(1, "Basketball"))) == 2


def test_a_revision_with_the_same_answer_says_nothing() -> None:
    assert len(said(result(0), result(0, revision=1, confidence=0.9), result(0, revision=2, final=True))) == 1


def test_closing_revisions_alone_are_answers_not_corrections() -> None:
    """A consumer of mode `final` sees every window for the first time at a later revision."""
    shown = said(*[result(t, "Basketball", revision=2, final=True) for t in range(3)])
    assert len(shown) == 1
    assert "corrected" not in shown[0]


def test_a_correction_too_far_back_is_not_shown_as_new() -> None:
    shown = said(*[result(t) for t in range(2000)], result(0, "Basketball", revision=1))
    assert len(shown) == 1


def test_a_new_epoch_begins_anew_and_an_end_says_how_many_frames() -> None:
    shown = said(result(5), result(0, epoch=8), End("dev00", 8, 40, "camera unplugged"))
    assert len(shown) == 3
    assert shown[2] == "dev00  ended after 40 frames: camera unplugged"


def test_a_console_that_nobody_reads_is_an_error_per_result() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    out = os.fdopen(write_end, "w")
    console = Console(out)
    with pytest.raises(SinkError, match="console"):
        console.write(result(0))
    console.close()
    with pytest.raises(BrokenPipeError):
        out.close()
