"""Codecs: how frames become bytes for the uplink. Layer 1.

To add one: a file here with a class like `base.Codec`, or `base.RunCodec` where frames are coded after others, a line
below, and it rides tests/test_codecs.py.
"""

from clownfish.codecs.base import Codec, RunCodec
from clownfish.registry import Registry

CODECS: Registry[type[Codec] | type[RunCodec]] = Registry(
    "codec",
    {
        "raw": "clownfish.codecs.raw:Raw",
        "png": "clownfish.codecs.png:Png",
        "jpeg": "clownfish.codecs.jpeg:Jpeg",
        "webp": "clownfish.codecs.webp:Webp",
        "h264": "clownfish.codecs.h264:H264Codec",
        "hevc": "clownfish.codecs.hevc:HevcCodec",
        "gstreamer": "clownfish.codecs.gstreamer:GStreamer",
    },
)

ON_THE_WIRE = frozenset({"raw", "png", "jpeg", "webp", "h264", "hevc"})
"""What a frame may be called between hosts; the others make one of these, and no peer can ask for them."""
