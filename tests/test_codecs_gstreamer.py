"""The codec `gstreamer`, with a real encoder in a real process: it may die or hang, and takes no stream with it."""

from __future__ import annotations

import ctypes.util
import gc
import os
import signal
import time
from pathlib import Path

import pytest

from clownfish.codecs import CODECS, ON_THE_WIRE, gstreamer
from clownfish.codecs.gstreamer import GStreamer, GStreamerEncoder
from clownfish.codecs.runs import StreamEncoder, as_run_codec, decode_job
from clownfish.errors import CodecError, ConfigError
from clownfish.settings import Plugin
from services.worker import _Worker
from tests.test_codecs import psnr_db
from tests.test_codecs_video import job_of, moving

X264 = "x264enc tune=zerolatency threads=1 speed-preset=ultrafast pass=qual quantizer=20"
PIPELINES = [X264, "openh264enc"]
HERE = ctypes.util.find_library("gstreamer-1.0") is not None or Path("/usr/bin/gst-launch-1.0").exists()
needs_gstreamer = pytest.mark.skipif(not HERE, reason="GStreamer is not installed on this machine")


def opened(pipeline: str = X264, **options: int | str) -> GStreamer:
    """Skips where GStreamer has no such element; any other trouble fails. A picture may take as long as a machine that
    stands still a moment needs."""
    options.setdefault("timeout_ms", 60_000)
    try:
        return GStreamer(pipeline, **options)  # type: ignore[arg-type]
    except ConfigError as error:
        if "no element" in str(error):
            pytest.skip(str(error))
        raise


def pid_of(encoder: GStreamerEncoder) -> int:
    assert encoder._child is not None
    return encoder._child._process.pid


@needs_gstreamer
@pytest.mark.parametrize("pipeline", PIPELINES)
def test_a_frame_in_is_a_picture_out_and_pictures_decode_to_their_frames(pipeline: str) -> None:
    codec = as_run_codec(opened(pipeline))
    assert codec.name == "h264"
    for size in [(172, 128), (43, 30)]:
        frames = moving(8, *size)
        encoder = codec.encoder(*size)
        coded = [encoder.encode(pixels, begin=n in (0, 5)) for n, pixels in enumerate(frames)]
        assert [each.begins for each in coded] == [n in (0, 5) for n in range(8)]
        for begin, end in ((0, 5), (5, 8)):
            decoded = CODECS.get(
                "h264"
            )().decode_run(  # type: ignore[union-attr]
                [each.data for each in coded[begin:end]], *size, set(range(end - begin))
            )
            for place, pixels in decoded.items():
                assert psnr_db(pixels, frames[begin + place]) > 28, (size, begin, place)


@needs_gstreamer
def test_hevc_comes_out_where_the_pipeline_makes_it() -> None:
    codec = opened("x265enc tune=zerolatency speed-preset=ultrafast option-string=open-gop=0:slices=1", format="hevc")
    encoder = StreamEncoder(codec)
    frames = moving(4, 64, 48)
    pictures = encoder.encode(frames)
    assert codec.name == "hevc"
    decoded = codec.decode_run([each.data for each in pictures], 64, 48, {3})
    assert psnr_db(decoded[3], frames[3]) > 28


@needs_gstreamer
def test_an_encoder_that_begins_in_its_own_rhythm_begins_runs_with_it() -> None:
    codec = opened(X264 + " key-int-max=3")
    frames = moving(8)
    pictures = StreamEncoder(codec).encode(frames)
    assert [each.place for each in pictures] == [0, 1, 2, 0, 1, 2, 0, 1]
    job = job_of("h264", tuple(p.place for p in pictures), tuple(range(8)), tuple(p.data for p in pictures))
    for pixels, frame in zip(decode_job(job, lambda kind: codec), frames, strict=True):
        assert psnr_db(pixels, frame) > 28


@needs_gstreamer
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "hung"])
def test_a_process_that_died_or_hangs_costs_one_window_in_bounded_time(how: signal.Signals) -> None:
    codec = opened(timeout_ms=2000 if how == signal.SIGSTOP else 60_000)
    stream = StreamEncoder(codec)
    frames = moving(4)
    assert [each.run for each in stream.encode(frames[:2])] == [0, 0]
    encoder = stream._encoder
    assert isinstance(encoder, GStreamerEncoder)
    old = pid_of(encoder)
    os.kill(old, how)
    began = time.monotonic()
    with pytest.raises(CodecError, match="GStreamer"):
        stream.encode(frames[2:3])
    assert time.monotonic() - began < 10
    with pytest.raises(ProcessLookupError):
        os.kill(old, 0)
    assert [(each.run, each.place) for each in stream.encode(frames[2:])] == [(1, 0), (1, 1)]
    assert pid_of(encoder) != old


@needs_gstreamer
def test_an_encoder_that_nobody_needs_any_more_leaves_no_process() -> None:
    encoder = opened().encoder(64, 48)
    encoder.encode(moving(1, 64, 48)[0], begin=True)
    pid = pid_of(encoder)
    del encoder
    gc.collect()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@needs_gstreamer
@pytest.mark.parametrize(
    ("pipeline", "why"),
    [
        ("nosuchencoder", "no element"),
        ("x264enc !", "."),
        ("x264enc tune=zerolatency sliced-threads=true threads=2", "one slice"),
        ("x264enc", "delay"),
        ("fakesink fakesrc", "."),
    ],
    ids=["missing", "syntax", "slices", "delay", "elsewhere"],
)
def test_a_pipeline_that_does_not_work_is_a_configuration_error(
    pipeline: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened()  # skips where there is no x264enc
    if why == "delay":  # the others end by themselves
        monkeypatch.setattr(gstreamer, "_START_MS", 3000)
    with pytest.raises(ConfigError, match=f"does not work: .*{why}"):
        Plugin("gstreamer", {"pipeline": pipeline}).build(CODECS)


@pytest.mark.skipif(HERE, reason="GStreamer is on this machine")
def test_without_gstreamer_it_is_said() -> None:
    with pytest.raises(ConfigError, match="GStreamer is not on this machine"):
        GStreamer(X264)


@pytest.mark.parametrize("options", [{}, {"pipeline": X264, "format": "vp9"}, {"pipeline": X264, "timeout_ms": 0}])
def test_options_that_are_wrong_are_a_configuration_error(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"pipeline|expected"):
        Plugin("gstreamer", options).build(CODECS)


def test_no_peer_can_name_it() -> None:
    """What a worker builds for a peer's word has its name, and needs no option."""
    assert {name for name in CODECS.names() if name not in ON_THE_WIRE} == {"gstreamer"}
    assert {CODECS.get(name)().name for name in ON_THE_WIRE} == ON_THE_WIRE
    worker = _Worker.__new__(_Worker)
    worker._codecs = {}
    for kind in ("gstreamer", "os:system", "clownfish.codecs.gstreamer:GStreamer", ""):
        with pytest.raises(ConfigError, match="unknown codec"):
            worker._codec(kind)
    assert worker._codec("h264").name == "h264"
