"""The codec `h264`: x264 without delay. What is new against the frames before it: a few hundred bytes a frame."""

from __future__ import annotations

from clownfish.codecs.nal import H264
from clownfish.codecs.video import Video


class H264Codec(Video):
    """`quality`: 1 (small) to 100; 56 is crf 23. `group`: pictures in a run at most: a window's size for one run
    each, more to go on from the frames sent before. `preset`: x264's, ultrafast to slow."""

    name = "h264"
    library = "libx264"
    syntax = H264

    def __init__(self, quality: int = 56, group: int = 96, preset: str = "veryfast") -> None:
        """Raises ConfigError for an option out of range."""
        super().__init__(quality, group, preset)
        self._options["x264-params"] = "scenecut=0:sliced-threads=0:slices=1"
