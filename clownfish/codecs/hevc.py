"""The codec `hevc`: x265 without delay. Fewer bytes than `h264` at the same quality, for several times its work."""

from __future__ import annotations

from clownfish.codecs.nal import HEVC
from clownfish.codecs.video import Video


class HevcCodec(Video):
    """`quality`: 1 (small) to 100; 46 is crf 28. `group`: pictures in a run at most: a window's size for one run
    each, more to go on from the frames sent before. `preset`: x265's, ultrafast to slow."""

    name = "hevc"
    library = "libx265"
    syntax = HEVC

    def __init__(self, quality: int = 46, group: int = 96, preset: str = "veryfast") -> None:
        """Raises ConfigError for an option out of range."""
        super().__init__(quality, group, preset)
        self._options["x265-params"] = (
            "info=0:log-level=none:keyint=-1:scenecut=0:open-gop=0:bframes=0:repeat-headers=1:"
            "pools=none:frame-threads=1:wpp=0:slices=1"
        )
