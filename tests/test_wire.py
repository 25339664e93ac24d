"""Bytes on every wire: what goes in comes out; what is malformed is a WireError and nothing else."""

from __future__ import annotations

import dataclasses

import msgpack
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from clownfish import messages, protocol, wire
from clownfish.errors import WireError

PIXELS = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
P = np.array([0.25, 0.75], dtype=np.float32)

ONE_OF_EACH = [
    messages.Frame("cam", 7, 12, 999, True, PIXELS),
    messages.Window("cam", 7, 3, 12, 999, False, (PIXELS, PIXELS[::-1])),
    messages.End("cam", 7, 120, "end of file"),
    messages.LocalResult("cam", 7, 3, P, None, 999, 5),
    messages.Rho("cam", 7, 3, 0.5, P),
    messages.RemoteResult("cam", 7, 3, P.astype(np.float64), "m"),
    messages.FusedResult("cam", 7, 3, 1, P, "wave", 0.75, 0.5, 0.1, 0.9, 2, "fused", False),
    messages.Status("local", 1, "ready", "", {"a": 1}, {"b": 0.5}, {"c": {-3: 4}}),
    protocol.Hello("box", ("wave", "sit"), "large"),
    protocol.Ping(3),
    protocol.Credit(4, 5, 1000),
    protocol.Refused("classes differ"),
    protocol.FrameData("cam", 7, 3, 2, 1, "png", 6, 4, b"abc"),
    protocol.WindowRequest("cam", 7, 3, (12, 13), 800),
    protocol.Missing("cam", 7, 3, (13,)),
    protocol.Answer("cam", 7, 3, P, "m", 1.5),
    protocol.Dropped("cam", 7, 3, "expired"),
    protocol.Ready("w", "m", ("wave",), 2),
    protocol.Progress("w", 4),
    protocol.Job(9, ("png", "png"), (0, 0), (1, 0), 6, 4, 800, (b"a", b"bc")),
    protocol.Done(9, P, 1.5, ""),
    protocol.Goodbye("w", (1, 2**40)),
    protocol.Pulse(4),
    protocol.Again("restarted"),
    messages.Feature("cam", 7, 3, np.arange(5, dtype=np.float32)),
    messages.Event("cam", 7, 3, "sent periodic", 12.5, None),
    messages.Note(
        "fusion",
        99,
        0,
        (
            messages.LocalResult("cam", 7, 3, P, 0.5, 999, 5),
            messages.FusedResult(
                "cam", 7, 3, 0, P.astype(np.float64), "sit", 0.75, 0.5, 0.1, 0.9, None, "local", False
            ),
            messages.Event("cam", 7, 3, "window", 12.5, 0.25),
            messages.End("cam", 7, 120, "end of file"),
        ),
    ),
    protocol.Frames("cam", 7, "png", 6, 4, (3, 4, 5), (2, 2, 2), (0, 1, 2), (b"abc", b"", bytes(70_000))),
    messages.LinkShape(7.5, 12.5, True),
    messages.Pace(0.9, 2, 0, 60),
    messages.Command(5, "add", '{"name": "cam"}'),
    messages.Reply(5, False, "x" * 100_000),
]


def same(a: object, b: object) -> bool:
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and np.array_equal(a, b)
    if isinstance(a, tuple):
        return isinstance(b, tuple) and len(a) == len(b) and all(map(same, a, b))
    if dataclasses.is_dataclass(a):
        return type(a) is type(b) and all(same(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a))
    return a == b


def test_the_samples_cover_every_kind() -> None:
    assert [type(m) for m in ONE_OF_EACH] == list(wire.KINDS)


@pytest.mark.parametrize("message", ONE_OF_EACH, ids=lambda m: type(m).__name__)
def test_what_is_encoded_comes_out_again(message) -> None:
    decoded = wire.decode([bytes(part) for part in wire.encode(message)])
    assert type(decoded) is type(message)
    for field in dataclasses.fields(message):
        assert same(getattr(message, field.name), getattr(decoded, field.name)), field.name


@pytest.mark.parametrize("message", ONE_OF_EACH, ids=lambda m: type(m).__name__)
@settings(max_examples=30)
@given(data=st.data())
def test_a_mangled_message_is_a_wire_error_and_nothing_else(message, data) -> None:
    parts = [bytearray(part) for part in wire.encode(message)]
    what = data.draw(st.sampled_from(["flip", "cut", "drop", "add", "header"]))
    which = data.draw(st.integers(0, len(parts) - 1))
    if what == "flip" and parts[which]:
        at = data.draw(st.integers(0, len(parts[which]) - 1))
        parts[which][at] ^= data.draw(st.integers(1, 255))
    elif what == "cut":
        del parts[which][data.draw(st.integers(0, len(parts[which]))) :]
    elif what == "drop":
        del parts[which]
    elif what == "add":
        parts.append(bytearray(b"more"))
    else:
        values = st.recursive(
            st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary(),
            lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        )
        count = len(dataclasses.fields(message))
        header = data.draw(st.lists(values, min_size=count, max_size=count))
        parts[0] = bytearray(parts[0][:4]) + msgpack.packb(header)
    try:
        decoded = wire.decode(parts)
    except WireError:
        return
    assert type(decoded) in wire.KINDS  # a flip inside pixels or a number is a message like another


@given(st.lists(st.binary(max_size=64), max_size=4))
@example([])
@example([b""])
@example([b"CF\x03"])
@example([b"CF\x03\x00"])
@example([b"CF\x03\xff\x90"])
@example([b"CF\x03\x00" + b"\x91" * 2000])
def test_foreign_bytes_are_a_wire_error(parts) -> None:
    with pytest.raises(WireError):
        wire.decode(parts)


@pytest.mark.parametrize(
    ("header", "parts", "says"),
    [
        (["cam", 7, 0, 0, True, [70000, 70000]], [b"x"], "height and width"),
        (["cam", 7, 0, 0, True, [8192, 8192]], [b"x"], "larger than"),
        (["cam", 7, 0, 0, True, [4, 6]], [b"x"], "72 bytes expected, got 1"),
        (["x" * 300, 7, 0, 0, True, [4, 6]], [bytes(72)], "a name expected"),
        (["cam", -1, 0, 0, True, [4, 6]], [bytes(72)], "a count expected"),
        (["cam", True, 0, 0, True, [4, 6]], [bytes(72)], "a count expected"),
        (["cam", 7, 0, 0, True, [4, 6]], [], "ends before"),
        (["cam", 7, 0, 0, True, [4, 6]], [bytes(72), b""], "more parts"),
    ],
)
def test_sizes_are_checked_before_anything_is_allocated(header, parts, says) -> None:
    with pytest.raises(WireError, match=says):
        wire.decode([b"CF\x03\x00" + msgpack.packb(header), *parts])


@pytest.mark.parametrize("message", ONE_OF_EACH, ids=lambda m: type(m).__name__)
def test_a_table_whose_keys_are_lists_or_tables_is_a_wire_error(message) -> None:
    """msgpack itself raises TypeError for them, which would have ended the process."""
    parts = wire.encode(message)
    count = len(dataclasses.fields(message))
    for key in (b"\x91\x01", b"\x80"):
        header = bytes([0x90 + min(count, 15)]) + (b"\x81" + key + b"\x01") * count
        with pytest.raises(WireError):
            wire.decode([bytes(parts[0][:4]) + header, *parts[1:]])


def test_a_vector_with_nan_is_refused() -> None:
    with pytest.raises(WireError, match="finite"):
        wire.decode(wire.encode(messages.RemoteResult("cam", 7, 3, np.array([np.nan, 1.0]), "m")))


def test_another_version_says_so() -> None:
    with pytest.raises(WireError, match="version 9"):
        wire.decode([b"CF\x09\x00\x90"])


def test_a_kind_that_the_socket_does_not_expect_is_refused() -> None:
    with pytest.raises(WireError, match="Ping is not expected"):
        wire.decode(wire.encode(protocol.Ping(1)), allowed=(protocol.Hello,))


def test_pixels_are_not_copied_on_the_way_in_or_out() -> None:
    parts = wire.encode(ONE_OF_EACH[0])
    assert np.shares_memory(np.frombuffer(parts[1], np.uint8), PIXELS)
    raw = bytes(parts[1])
    decoded = wire.decode([parts[0], raw])
    assert np.shares_memory(decoded.pixels, np.frombuffer(raw, np.uint8))


def pictures(*sizes: int) -> list[protocol.FrameData]:
    return [
        protocol.FrameData("cam", 7, n, n, 0, "jpeg", 6, 4, bytes([n % 256]) * size) for n, size in enumerate(sizes)
    ]


def test_small_frames_share_a_part_and_large_ones_have_their_own() -> None:
    frames = protocol.Frames("cam", 7, "png", 6, 4, (0, 1, 2), (0, 1, 2), (0, 0, 0), (b"a" * 10, b"b" * 20, b"c" * 30))
    assert list(map(len, wire.encode(frames)[1:])) == [60]
    job = protocol.Job(
        1, ("png",) * 4, (0,) * 4, (0, 1, 2, 3), 6, 4, 9, (b"a", bytes(70_000), bytes(40_000), bytes(40_000))
    )
    assert list(map(len, wire.encode(job)[1:])) == [1, 70_000, 40_000, 40_000]
    assert wire.decode(wire.encode(job)) == job


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"places": [0]}, "of as many frames expected"),
        ({"numbers": [], "runs": [], "places": [], "data": []}, "of as many frames expected"),
        ({"numbers": [-1, 1]}, "a list of counts expected"),
        ({"runs": [True, 1]}, "a list of counts expected"),
        ({"numbers": list(range(300))}, "a list of at most 256"),
        ({"data": [[3, 2**62]]}, "a part of"),
        ({"data": [[2, 3], []]}, "ends before its last part"),
        ({"data": 5}, "the sizes of at most 256 parts"),
    ],
)
def test_frames_that_do_not_go_together_are_malformed(change: dict[str, object], says: str) -> None:
    frames = protocol.Frames("cam", 7, "png", 6, 4, (0, 1), (0, 1), (0, 0), (b"ab", b"cde"))
    head, *parts = wire.encode(frames)
    names = [field.name for field in dataclasses.fields(frames)]
    fields = dict(zip(names, msgpack.unpackb(bytes(head[4:])), strict=True))
    header = msgpack.packb([{**fields, **change}[name] for name in names])
    with pytest.raises(WireError, match=says):
        wire.decode([bytes(head[:4]) + header, *parts])


@given(st.lists(st.sampled_from([0, 1, 900, 20_000, 32_768, 60_000]), max_size=40))
def test_frames_travel_together_in_order_and_never_more_than_are_bearable(sizes: list[int]) -> None:
    sent = pictures(*sizes)
    messages_ = list(protocol.in_messages(sent))
    assert [n for message in messages_ for n in message.together.numbers] == list(range(len(sizes)))
    assert [data for message in messages_ for data in message.together.data] == [frame.data for frame in sent]
    for message in messages_:
        data = message.together.data
        assert len(data) == 1 or sum(map(len, data)) <= protocol.FRAMES_BYTES
