"""Video sources. Layer 1.

A source is named in one string: `kind:what`, or a bare path for a video file.
`video:PATH`, `images:FOLDER`, `camera:0`, `rtsp://…` (also http, https, udp), `gst:PIPELINE`, `puppets:test/3`,
`shapes:test/3`.

To add one: a file here with a class like `base.VideoSource`, a line below, and it rides tests/test_sources.py.
"""

from collections.abc import Callable

from clownfish.registry import Registry
from clownfish.sources.base import TimeOuts, VideoSource
from clownfish.sources.limited import Limited
from clownfish.sources.truth import Truth, read_truth

SOURCES: Registry[Callable[..., VideoSource]] = Registry(
    "source",
    {
        "video": "clownfish.sources.video:VideoFile",
        "images": "clownfish.sources.images:ImageFolder",
        "camera": "clownfish.sources.camera:Camera",
        "stream": "clownfish.sources.stream:open_stream",
        "gst": "clownfish.sources.gstreamer:GStreamer",
        "puppets": "clownfish.sources.puppets:Puppets",
        "shapes": "clownfish.sources.shapes:Shapes",
    },
)

_URL_SCHEMES = ("rtsp", "rtsps", "http", "https", "udp", "tcp", "rtmp")


def split_source(source: str) -> tuple[str, str]:
    """("kind", "what") of a source string: `camera:0` → ("camera", "0"), `rtsp://x` → ("stream", "rtsp://x"), a path →
    ("video", path)."""
    scheme, colon, rest = source.partition(":")
    if colon and scheme in _URL_SCHEMES:
        return "stream", source
    if colon and scheme in SOURCES.names():
        return scheme, rest
    return "video", source


def open_source(
    source: str, fps: float | None = None, seconds: float | None = None, time_outs: TimeOuts | None = None
) -> VideoSource:
    """Open what the string names. Raises SourceError or ConfigError.

    `fps` overrides the nominal rate; `seconds` ends the source after that much video; `time_outs` are a live one's.
    """
    kind, what = split_source(source)
    limits = {"time_outs": time_outs} if is_live(source) else {}
    opened = SOURCES.get(kind)(what, fps=fps, **limits)
    return opened if seconds is None else Limited(opened, seconds)


def is_live(source: str) -> bool:
    """Whether the string names a camera or network stream: one that has no end, and is opened again when it breaks."""
    return split_source(source)[0] in ("camera", "stream", "gst")


def truth_of(source: str) -> Truth | None:
    """Ground truth of the source that the string names, None where there is none. Raises DatasetError, SourceError."""
    kind, what = split_source(source)
    if kind == "video":
        return read_truth(what)
    factory = SOURCES.get(kind)
    if not hasattr(factory, "truth"):
        return None
    opened = factory(what, fps=None)
    try:
        truth: Truth | None = getattr(opened, "truth", None)
        return truth
    finally:
        opened.close()
