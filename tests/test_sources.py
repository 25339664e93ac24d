"""All sources: frames in order and in RGB, broken ones named, closed from any thread."""

from __future__ import annotations

import contextlib
import ctypes.util
import functools
import http.server
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TypeAlias

import av
import pytest

from clownfish.cadence import Cadence
from clownfish.errors import SourceError
from clownfish.opencv import cv2
from clownfish.sources import SOURCES, open_source, split_source
from clownfish.sources.base import Refused, Stalled, TimeOuts, VideoSource
from clownfish.sources.camera import Camera, NetworkStream
from clownfish.sources.gstreamer import GStreamer, described
from clownfish.sources.images import ImageFolder
from clownfish.sources.stream import Stream
from clownfish.sources.truth import read_truth
from clownfish.sources.video import VideoFile
from clownfish.sources.videocapture import Capture
from tests.videos import cut, frame, number, read_until_error, write_image, write_video

HERE = ctypes.util.find_library("gstapp-1.0") is not None
needs_gstreamer = pytest.mark.skipif(not HERE, reason="GStreamer is not installed on this machine")
by_either = pytest.mark.parametrize("network", [Stream, NetworkStream], ids=["PyAV", "OpenCV"])
"""Both libraries that read a stream by its address."""
Network: TypeAlias = Callable[..., VideoSource]

UCF9 = Path(__file__).parents[2] / "shared" / "data" / "ucf9" / "streams"


def numbers(source: VideoSource) -> list[int]:
    return [number(pixels) for pixels in source]


# names


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("camera:0", ("camera", "0")),
        ("images:/a/b", ("images", "/a/b")),
        ("gst:videotestsrc ! appsink", ("gst", "videotestsrc ! appsink")),
        ("rtsp://host:554/x", ("stream", "rtsp://host:554/x")),
        ("video:a:b.mp4", ("video", "a:b.mp4")),
        ("/a/x:y.mp4", ("video", "/a/x:y.mp4")),
        ("x.mp4", ("video", "x.mp4")),
    ],
)
def test_one_string_names_a_source(source: str, expected: tuple[str, str]) -> None:
    assert split_source(source) == expected


@pytest.mark.parametrize("kind", SOURCES.names())
def test_a_source_that_is_not_there_says_its_name(kind: str, tmp_path: Path) -> None:
    missing = {"stream": "http://127.0.0.1:1/nothing", "camera": "camera:97", "puppets": "puppets:no such list/0"}
    with pytest.raises(SourceError, match=r"GStreamer|missing|nothing|97|puppets"):
        open_source(missing.get(kind, f"{kind}:{tmp_path / 'missing'}"))


# files


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good MP4 of 40 frames; never to be changed."""
    return write_video(tmp_path_factory.mktemp("videos") / "whole.mp4", 40)


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.avi", "mjpeg")])
def test_a_file_gives_every_frame_once_in_order_and_in_rgb(name: str, codec: str, tmp_path: Path) -> None:
    source = open_source(str(write_video(tmp_path / name, 25, codec=codec)))
    assert source.fps == 30
    assert not source.live
    assert numbers(source) == list(range(25))


def test_a_video_of_one_frame_is_a_video(tmp_path: Path) -> None:
    assert numbers(VideoFile(write_video(tmp_path / "one.mp4", 1))) == [0]


@pytest.mark.parametrize(("fps", "expected"), [(Fraction(24000, 1001), 23.976), (Fraction(1, 2), 0.5), (240, 240)])
def test_the_rate_is_the_headers(fps: Fraction | int, expected: float, tmp_path: Path) -> None:
    assert VideoFile(write_video(tmp_path / "x.mp4", 10, fps)).fps == pytest.approx(expected, abs=1e-3)


def test_a_header_with_an_impossible_rate_is_an_error_until_fps_is_given(tmp_path: Path) -> None:
    path = write_video(tmp_path / "x.mp4", 10, 1000)
    with pytest.raises(SourceError, match=r"1000 frames per second.*give the right number as fps"):
        VideoFile(path)
    source = VideoFile(path, fps=25)
    assert source.fps == 25
    assert numbers(source) == list(range(10))


@pytest.mark.parametrize("fps", [0.0, -1.0, float("nan"), float("inf"), 1000.0])
@pytest.mark.parametrize("kind", ["video", "images"])
def test_an_impossible_rate_that_is_asked_for_is_an_error(kind: str, fps: float, whole: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "0.png", 0)
    with pytest.raises(SourceError, match="asked for"):
        open_source(f"{kind}:{whole if kind == 'video' else tmp_path}", fps=fps)


@pytest.mark.parametrize(
    ("content", "why"), [(b"", "empty"), (b"hello\n" * 100, "no video"), (bytes(range(256)) * 40, "no video")]
)
def test_a_file_that_is_no_video_says_so(content: bytes, why: str, tmp_path: Path) -> None:
    path = tmp_path / "x.mp4"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=f"x.mp4.*{why}"):
        VideoFile(path)


def test_a_video_without_a_frame_is_an_error(tmp_path: Path) -> None:
    for name, coding in (("zero.mp4", "mp4v"), ("zero.avi", "MJPG")):
        path = tmp_path / name
        cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*coding), 30, (64, 48)).release()
        assert path.stat().st_size > 0
        with pytest.raises(SourceError, match=r"cannot be opened|not one frame"):
            list(VideoFile(path))


def test_a_folder_is_no_video_and_a_video_is_no_folder(whole: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="images:FOLDER"):
        VideoFile(tmp_path)
    with pytest.raises(SourceError, match="Not a directory"):
        ImageFolder(whole)


def test_a_cut_off_mp4_without_its_index_says_what_is_missing(tmp_path: Path) -> None:
    path = write_video(tmp_path / "x.mp4", 40, faststart=False)
    whole = path.read_bytes()
    index = whole.index(b"moov")
    for length, why in [(index // 2, r"moov.*cut off"), (index + 100, r"cut off.*bytes")]:
        path.write_bytes(whole[:length])
        with pytest.raises(SourceError, match=why):
            VideoFile(path)


@pytest.mark.parametrize(("name", "codec"), [("x.mp4", "libx264"), ("x.avi", "mjpeg")])
@pytest.mark.parametrize("share", [0.5, 0.97])
def test_a_cut_off_file_gives_the_frames_it_has_and_then_an_error(
    name: str, codec: str, share: float, tmp_path: Path
) -> None:
    came, text = read_until_error(VideoFile(cut(write_video(tmp_path / name, 200, codec=codec), share)))
    assert came == list(range(len(came)))
    assert 50 < len(came) < 200
    assert f"{len(came)} of 200 frames" in text
    assert "bytes are missing" in text


def test_a_cut_off_matroska_gives_the_frames_it_has_and_then_an_error(tmp_path: Path) -> None:
    came, text = read_until_error(VideoFile(cut(write_video(tmp_path / "x.mkv", 200), 0.5)))
    assert len(came) > 50
    assert came[:-5] == list(range(len(came) - 5))  # H.264 itself may lose some of the last ones, which wait for others
    assert f"{len(came)} of 200 frames" in text


def test_a_file_damaged_in_the_middle_gives_the_frames_before_and_then_an_error(tmp_path: Path) -> None:
    path = write_video(tmp_path / "x.mp4", 250)
    data = bytearray(path.read_bytes())
    start, end = len(data) // 2, len(data) - 20
    data[start:end] = b"\x5a" * (end - start)
    path.write_bytes(data)
    came, text = read_until_error(VideoFile(path))
    assert came[:20] == list(range(20))
    assert f"{len(came)} of 250 frames" in text


@pytest.mark.data
@pytest.mark.skipif(not UCF9.exists(), reason="no ../shared/data/ucf9")
def test_a_real_stream_has_the_frames_that_its_ground_truth_labels() -> None:
    path = UCF9 / "dev00.mp4"
    truth = read_truth(path)
    assert truth is not None
    assert sum(1 for _ in VideoFile(path)) == truth.contexts[-1].end


def test_neither_opencv_nor_ffmpeg_speak_on_stderr(tmp_path: Path) -> None:
    path = cut(write_video(tmp_path / "x.mp4", 60), 0.5)
    program = (
        "import sys; from clownfish.sources import open_source; from clownfish.errors import SourceError\n"
        "for name in sys.argv[1:]:\n"
        "    try: list(open_source(name))\n"
        "    except SourceError as error: print(error)"
    )
    command = [sys.executable, "-c", program, str(path), __file__, "camera:97"]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, timeout=60)
    assert len(done.stdout.splitlines()) == 3
    assert done.stderr == ""


# cameras and streams


def test_a_camera_that_is_no_number_and_no_device_is_an_error() -> None:
    with pytest.raises(SourceError, match="/dev/video0"):
        Camera("front door")


@pytest.mark.skipif(HERE, reason="GStreamer is on this machine")
def test_a_pipeline_without_gstreamer_says_so() -> None:
    with pytest.raises(SourceError, match="GStreamer is not on this machine"):
        GStreamer("videotestsrc")


@needs_gstreamer
@pytest.mark.parametrize(
    ("pipeline", "expected"),
    [
        ("a ! appsink", "a ! appsink name=frames"),
        ("a ! appsink name=mine sync=false", "a ! appsink name=frames sync=false"),
        ("a", "a ! videoconvert ! appsink name=frames max-buffers=2 drop=true"),
        ("appsink name=x ! a", "appsink name=x ! a ! videoconvert ! appsink name=frames max-buffers=2 drop=true"),
    ],
)
def test_a_pipeline_ends_in_an_appsink_that_can_be_found(pipeline: str, expected: str) -> None:
    assert described(pipeline) == expected


@needs_gstreamer
def test_a_pipeline_gives_frames_with_their_times_and_their_size() -> None:
    caps = "video/x-raw,format=I420,width=65,height=48,framerate=25/1"  # rows that do not end at a multiple of four
    source = GStreamer(f"videotestsrc pattern=red num-buffers=5 ! {caps} ! videoconvert ! appsink sync=false")
    frames, times = iter(source), []
    for _ in range(5):
        pixels = next(frames)
        assert pixels.shape == (48, 65, 3)
        assert pixels[20, 30].tolist() == pytest.approx([255, 0, 0], abs=3)
        assert source.taken is not None
        assert source.taken.size == (65, 48)
        times.append(source.taken.pts_s)
    with pytest.raises(SourceError, match=r"stopped delivering after 5 frames: it ended"):
        next(frames)
    assert source.fps == 25
    assert times == pytest.approx([n / 25 for n in range(5)], abs=1e-6)


@needs_gstreamer
@pytest.mark.parametrize(
    ("pipeline", "why"),
    [
        ("videotestsrc ! nonsense", 'no element "nonsense"'),
        (
            "filesrc location=/none ! decodebin ! videoconvert ! appsink",
            "(?i)not found|could not open|No such file|no frame",
        ),
        ("fakesrc num-buffers=1 ! appsink", "no video|not-negotiated|Internal data stream|no frame"),
        (
            "rtspsrc location=rtsp://ann:secret@127.0.0.1:1/x user-pw=hidden ! decodebin ! videoconvert",
            "(?i)connect|could not open",
        ),
    ],
)
def test_a_pipeline_that_gives_no_frame_says_why_and_no_password(pipeline: str, why: str) -> None:
    with pytest.raises(SourceError, match=why) as caught:
        GStreamer(pipeline, time_outs=TimeOuts(3.0, 1.0))
    assert "secret" not in str(caught.value)
    assert "hidden" not in str(caught.value)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and the address at which its files are served."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(tmp_path))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield tmp_path, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def stalling() -> Iterator[Callable[[bytes], str]]:
    """Gives the address of a sender that takes one client, sends these bytes over HTTP, and then nothing for ever."""
    listeners: list[socket.socket] = []
    clients: list[socket.socket] = []

    def serve(listener: socket.socket, data: bytes) -> None:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        clients.append(client)
        client.recv(4096)
        if data:
            client.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + data)

    def start(data: bytes) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        threading.Thread(target=serve, args=(listener, data), daemon=True).start()
        return f"127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for each in (*listeners, *clients):
        each.close()


@by_either
def test_a_finished_file_on_a_web_server_is_not_live_and_ends(network: Network, served: tuple[Path, str]) -> None:
    folder, address = served
    write_video(folder / "a.mp4", 20)
    source = network(f"{address}/a.mp4")
    assert not source.live
    assert numbers(source) == list(range(20))


@by_either
def test_a_live_stream_that_ends_is_an_error_after_its_frames(network: Network, served: tuple[Path, str]) -> None:
    folder, address = served
    write_video(folder / "a.ts", 20)
    source = network(f"{address}/a.ts", fps=25)
    assert source.live
    assert source.fps == 25
    came, text = read_until_error(source)
    assert came == list(range(20))
    assert "stopped delivering after 20 frames" in text


@by_either
def test_a_live_stream_that_stalls_is_an_error_after_the_read_time_out(
    network: Network, stalling: Callable[[bytes], str], tmp_path: Path
) -> None:
    data = write_video(tmp_path / "a.ts", 100).read_bytes()
    source = network(f"http://{stalling(data)}/a.ts", time_outs=TimeOuts(10.0, 0.2))
    with pytest.raises(Stalled, match=r"nothing came for 0\.2 s"):
        list(source)


@by_either
@pytest.mark.parametrize("scheme", ["http", "rtsp"])
def test_a_sender_that_says_nothing_is_an_error_and_its_password_is_kept_secret(
    scheme: str, network: Network, stalling: Callable[[bytes], str]
) -> None:
    with pytest.raises(SourceError, match=r"within 0\.2 s") as caught:
        network(f"{scheme}://user:secret@{stalling(b'')}/x", time_outs=TimeOuts(0.2, 0.2))
    assert "secret" not in str(caught.value)


def test_a_camera_that_wants_another_password_is_told_from_one_that_is_away(tmp_path: Path) -> None:
    class Guarded(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(401)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Guarded) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        with pytest.raises(Refused, match=r"401 Unauthorized.*give the right user and password") as caught:
            Stream(f"http://ann:secret@127.0.0.1:{server.server_port}/x")
        server.shutdown()
        thread.join()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("leap_s", "why"), [(100.0, "clock"), (-0.6, "clock"), (0.0, None)])
def test_a_camera_whose_clock_jumps_begins_a_new_epoch_there(
    leap_s: float, why: str | None, served: tuple[Path, str]
) -> None:
    """Real timestamps, in a real container: two seconds of them, then the leap."""
    folder, address = served
    fps = 25
    parts = [clip(folder / f"{n}.ts", fps, 2 * fps, 10.0 + n * (2.0 + leap_s)) for n in range(2)]
    (folder / "a.ts").write_bytes(b"".join(part.read_bytes() for part in parts))
    cadence = Cadence(30)
    broken = []
    source = Stream(f"{address}/a.ts", fps=fps)
    with contextlib.suppress(SourceError):
        for n, _ in enumerate(source):
            assert source.taken is not None
            step = cadence.step(replace(source.taken, at_s=1000 + n / fps))  # as a camera would deliver it
            broken += [(n, step.broken)] if step.broken else []
    assert broken == ([(2 * fps, why)] if why else [])


def clip(path: Path, fps: int, frames: int, start_s: float) -> Path:
    """A piece of a stream, whose timestamps begin there."""
    with av.open(str(path), "w", options={"mpegts_copyts": "1"}) as container:
        video = container.add_stream("libx264", rate=fps, options={"bf": "0", "tune": "zerolatency"})
        video.width, video.height = 64, 48
        for n in range(frames):
            for packet in video.encode(av.VideoFrame.from_ndarray(frame(n), format="rgb24")):
                packet.pts = packet.dts = round((start_s + n / fps) / packet.time_base)
                container.mux(packet)
    return path


# closing


@pytest.mark.parametrize("kind", ["video", "images"])
def test_a_closed_source_ends_without_an_error(kind: str, whole: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "1.png", 1)
    write_image(tmp_path / "2.png", 2)
    source = open_source(f"{kind}:{whole if kind == 'video' else tmp_path}")
    frames = iter(source)
    next(frames)
    source.close()
    source.close()
    assert list(frames) == []


@by_either
def test_closing_while_a_read_is_blocked_returns_at_once_and_the_read_ends_quietly(
    network: Network, stalling: Callable[[bytes], str], tmp_path: Path
) -> None:
    data = write_video(tmp_path / "a.ts", 100).read_bytes()
    source = network(f"http://{stalling(data)}/a.ts", time_outs=TimeOuts(10.0, 2.5))
    assert isinstance(source, Stream | NetworkStream)
    closing = source._closing if isinstance(source, Stream) else source._capture._closing
    came, failed = threading.Semaphore(0), []

    def read() -> None:
        try:
            for _ in source:
                came.release()
        except SourceError as error:
            failed.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    while came.acquire(timeout=1.0):  # until no frame comes any more: the read is blocked
        pass
    assert closing.busy.locked()
    source.close()
    assert closing.busy.locked()
    thread.join(30)
    assert not thread.is_alive()
    assert closing.released
    assert failed == []


def test_a_capture_closed_from_many_threads_under_reads_neither_hangs_nor_crashes(whole: Path) -> None:
    for _ in range(20):
        capture = Capture(str(whole), cv2.CAP_FFMPEG)
        threads = [threading.Thread(target=capture.close) for _ in range(3)]
        assert capture.read() is not None
        for thread in threads:
            thread.start()
        while capture.read() is not None:
            pass
        for thread in threads:
            thread.join()
        assert not capture._capture.isOpened()
