"""The codec `h264`: x264 without delay. What is new against the frames before it: a few hundred bytes a frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clownfish.codecs.nal import H264
from clownfish.codecs.video import Video


class H264Codec(Video):
    """`quality`: 1 (small) to 100; 60 is crf 21. `group`: pictures in a run at most: a window's size for one run
    each, more to go on from the frames sent before. `preset`: x264's, ultrafast to slow.
    `chroma`: 444, or 420 with colours at half the resolution. `encoder`: another of FFmpeg's, such as h264_nvenc, with
    its own `options`; then `preset` does not count."""

    name = "h264"
    library = "libx264"
    syntax = H264
    tuning = ("x264-params", "scenecut=0:sliced-threads=0:slices=1:psy=0:aq-mode=0")
    """No psychovisual tricks: what they add to please eyes is noise to a network (docs/evaluation/codecs.md)."""

    def __init__(
        self,
        quality: int = 60,
        group: int = 96,
        preset: str = "veryfast",
        chroma: int = 444,
        encoder: str = "",
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """Raises ConfigError for an option out of range, and for an encoder that is not here."""
        super().__init__(quality, group, preset, chroma, encoder, options)
