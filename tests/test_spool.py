"""The spool: order, at least once, bounded; whatever is torn off, killed or full."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from clownfish.errors import SinkError
from clownfish.spool import MAX_MESSAGE_BYTES, STATE_LOST, Spool
from tests.disks import file_size_limit, small_disk

__all__ = ["file_size_limit", "small_disk"]  # fixtures

ROOT = Path(__file__).parents[1]


def messages(count: int, begin: int = 0) -> list[bytes]:
    return [f"message {n}".encode() for n in range(begin, begin + count)]


def put(spool: Spool, data: list[bytes]) -> list[bool]:
    return [spool.append(each) for each in data]


def waiting(spool: Spool) -> list[bytes]:
    return [entry.data for entry in spool.peek(100_000)]


def test_messages_come_out_in_order_until_they_are_acknowledged(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    put(spool, messages(5))
    first, second = spool.peek(2)
    assert (first.data, second.data) == (b"message 0", b"message 1")
    assert spool.peek(2) == [first, second]
    spool.acknowledge(second.number)
    assert waiting(spool) == messages(3, 2)
    assert (spool.waiting, spool.counts["spooled"], spool.counts["acked"]) == (3, 5, 2)
    spool.close()


def test_what_was_not_acknowledged_waits_for_the_next_process(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    put(spool, messages(5))
    spool.acknowledge(spool.peek(3)[-1].number)
    spool.close()
    spool.close()
    spool = Spool(tmp_path)
    assert waiting(spool) == messages(2, 3)
    put(spool, messages(1, 5))
    assert waiting(spool) == messages(3, 3)
    numbers = [entry.number for entry in spool.peek(9)]
    assert numbers == [4, 5, 6]
    spool.close()


def test_segments_that_are_acknowledged_leave_the_disk(tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_mb=0.1)
    put(spool, [b"x" * 1000] * 90)
    assert len(list(tmp_path.glob("*.segment"))) > 2
    spool.acknowledge(spool.peek(90)[-1].number)
    assert len(list(tmp_path.glob("*.segment"))) == 1
    assert spool.waiting == 0
    spool.close()


def test_over_its_size_the_oldest_are_dropped_and_counted(tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_mb=0.1)
    data = [n.to_bytes(2, "big") * 500 for n in range(400)]
    put(spool, data)
    kept = waiting(spool)
    assert kept == data[-len(kept) :]
    assert 0 < len(kept) < 110
    assert spool.counts['dropped{reason="spool_full"}'] == 400 - len(kept)
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 110_000
    assert spool.waiting == len(kept)
    spool.close()
    spool = Spool(tmp_path, max_mb=0.1)
    assert waiting(spool) == kept
    spool.close()


def test_what_is_too_large_is_refused_and_counted(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    assert put(spool, [b"x" * (MAX_MESSAGE_BYTES + 1), b"y"]) == [False, True]
    assert waiting(spool) == [b"y"]
    assert spool.counts['dropped{reason="too_large"}'] == 1
    spool.close()


def test_two_sinks_never_share_a_spool(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    with pytest.raises(SinkError, match="another sink"):
        Spool(tmp_path)
    spool.close()
    Spool(tmp_path).close()


def test_a_folder_that_cannot_be_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError, match="name another folder"):
        Spool(tmp_path / "file" / "spool")
    with pytest.raises(ValueError, match="more than 0 MB"):
        Spool(tmp_path, max_mb=0)


@given(cut=st.integers(0, 200), tail=st.binary(max_size=40))
@settings(max_examples=30, deadline=None)
def test_a_torn_tail_is_cut_off_and_all_before_it_is_there(
    tmp_path_factory: pytest.TempPathFactory, cut: int, tail: bytes
) -> None:
    """Whatever a crash left of the last segment: the whole messages before it, and what is appended afterwards."""
    folder = tmp_path_factory.mktemp("torn")
    spool = Spool(folder)
    put(spool, messages(8))
    spool.close()
    (segment,) = folder.glob("*.segment")
    whole = segment.read_bytes()
    cut = min(cut, len(whole))
    assume(not tail or cut == len(whole) or tail[0] != whole[cut])
    segment.write_bytes(whole[:cut] + tail)
    one = len(whole) // 8
    spool = Spool(folder)
    assert waiting(spool) == messages(cut // one)
    assert spool.counts["spool_torn_bytes"] == cut + len(tail) - cut // one * one
    put(spool, messages(1, 100))
    assert waiting(spool) == [*messages(cut // one), b"message 100"]
    spool.close()


def test_damage_in_the_middle_costs_what_follows_in_that_file_and_nothing_more(tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_mb=0.02)
    put(spool, [n.to_bytes(2, "big") * 250 for n in range(30)])
    first, *_ = sorted(tmp_path.glob("*.segment"))
    inside = first.stat().st_size // 516
    raw = bytearray(first.read_bytes())
    raw[516 * 2 + 100] ^= 1
    first.write_bytes(raw)
    numbers = [entry.number for entry in spool.peek(100)]
    assert numbers == [1, 2, *range(inside + 1, 31)]
    assert spool.counts['dropped{reason="damaged"}'] == inside - 2
    assert spool.waiting == len(numbers)
    spool.close()


@pytest.mark.parametrize("left", [0, 5, 11, 12])
def test_where_it_is_not_known_what_the_target_has_all_is_given_out_again_and_counted(
    left: int, tmp_path: Path
) -> None:
    """`left`: bytes that a cut of power left of the file `acked`; with all of them one is wrong."""
    spool = Spool(tmp_path)
    put(spool, messages(5))
    spool.acknowledge(spool.peek(3)[-1].number)
    spool.close()
    raw = (tmp_path / "acked").read_bytes()
    (tmp_path / "acked").write_bytes(raw[:left] if left < len(raw) else bytes([raw[0] ^ 1]) + raw[1:])
    spool = Spool(tmp_path)
    assert waiting(spool) == messages(5)
    assert spool.counts[STATE_LOST] == (left > 0), "an empty one is that of a spool which is new"
    spool.acknowledge(spool.peek(9)[-1].number)
    spool.close()
    again = Spool(tmp_path)
    assert (waiting(again), again.counts[STATE_LOST]) == ([], 0)
    again.close()


def test_a_segment_on_a_bad_block_goes_and_the_others_reach_the_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path, max_mb=0.02)
    put(spool, [n.to_bytes(2, "big") * 250 for n in range(30)])
    spool.close()
    bad, second, *_ = sorted(tmp_path.glob("*.segment"))
    read_bytes = Path.read_bytes

    def read(path: Path) -> bytes:
        if path == bad:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", read)
    spool = Spool(tmp_path, max_mb=0.02)
    assert [entry.number for entry in spool.peek(100)] == [*range(int(second.stem), 31)]
    assert spool.counts[STATE_LOST] == 1
    assert not bad.exists()
    spool.close()


def test_a_killed_process_loses_nothing_that_it_had_appended(tmp_path: Path) -> None:
    program = (
        "import sys, os, signal; from clownfish.spool import Spool\n"
        "spool = Spool(sys.argv[1])\n"
        "for n in range(50): spool.append(f'message {n}'.encode())\n"
        "spool.acknowledge(spool.peek(20)[-1].number)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, timeout=60)
    assert done.returncode == -signal.SIGKILL
    spool = Spool(tmp_path)
    assert waiting(spool) == messages(30, 20)
    spool.close()


def test_a_full_disk_is_counted_and_messages_wait_in_memory_until_there_is_room(
    tmp_path: Path, file_size_limit: Callable[[int | None], None]
) -> None:
    spool = Spool(tmp_path)
    put(spool, messages(3))
    file_size_limit(spool.size_bytes + 10)
    put(spool, messages(1003, 3))
    file_size_limit(None)
    assert spool.counts['dropped{reason="disk_full"}'] == 3
    assert spool.counts["spool_disk_errors"] > 0
    assert waiting(spool) == messages(1003)
    spool.acknowledge(spool.peek(5)[-1].number)
    put(spool, messages(1, 2000))
    assert waiting(spool) == messages(998, 5) + messages(1, 2000)
    spool.close()
    spool = Spool(tmp_path)
    assert waiting(spool) == messages(998, 5) + messages(1, 2000)
    spool.close()


def test_on_a_disk_that_is_really_full_nothing_is_raised(small_disk: Path) -> None:
    spool = Spool(small_disk / "spool", max_mb=10)
    taken = put(spool, [b"x" * 10_000] * 1500)
    assert taken.count(False) == spool.counts['dropped{reason="disk_full"}'] > 0
    assert len(waiting(spool)) == taken.count(True)
    for entry in spool.peek(50):
        spool.acknowledge(entry.number)
    spool.close()


def test_what_is_forced_to_disk_is_so_as_often_as_was_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts calls of fdatasync: whether they reach the disk no test can see."""
    synced: list[float] = []
    clock = [0.0]
    real = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda fd: (synced.append(clock[0]), real(fd)))
    spool = Spool(tmp_path, sync_s=1.0, now=lambda: clock[0])
    for at in (0.1, 0.5, 1.2, 1.4, 2.3):
        clock[0] = at
        spool.append(b"x")
    assert synced == [1.2, 2.3]
    clock[0] = 2.5
    spool.append(b"x")
    clock[0] = 3.4
    spool.sync()
    assert synced == [1.2, 2.3, 3.4]
    spool.close()


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("append"), st.binary(min_size=1, max_size=3000)),
            st.tuples(st.just("ack"), st.integers(1, 6)),
            st.tuples(st.just("reopen"), st.none()),
        ),
        max_size=40,
    )
)
@settings(max_examples=30, deadline=None)
def test_whatever_is_done_it_holds_what_a_queue_would(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, object]]
) -> None:
    folder = tmp_path_factory.mktemp("model")
    spool, model = Spool(folder, max_mb=0.01), []
    for what, value in steps:
        dropped = spool.counts['dropped{reason="spool_full"}']
        if what == "append":
            assert spool.append(value)  # type: ignore[arg-type]
            model.append(value)
            model = model[spool.counts['dropped{reason="spool_full"}'] - dropped :]
        elif what == "ack":
            entries = spool.peek(value)  # type: ignore[arg-type]
            if entries:
                spool.acknowledge(entries[-1].number)
                model = model[len(entries) :]
        else:
            spool.close()
            spool = Spool(folder, max_mb=0.01)
        assert waiting(spool) == model
        assert spool.waiting == len(model)
        assert spool.size_bytes <= 10_000 + 4096 + 3016
    spool.close()


@pytest.fixture(autouse=True)
def _no_descriptor_is_left() -> Iterator[None]:
    before = sum(1 for _ in Path("/proc/self/fd").iterdir())
    yield
    assert sum(1 for _ in Path("/proc/self/fd").iterdir()) == before
