"""The codec `hevc`: x265 without delay. Fewer bytes than `h264` at the same quality, for several times its work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clownfish.codecs.nal import HEVC
from clownfish.codecs.video import Video


class HevcCodec(Video):
    """`quality`: 1 (small) to 100; 60 is crf 21. `group`: pictures in a run at most: a window's size for one run
    each, more to go on from the frames sent before. `preset`: x265's, ultrafast to slow.
    `chroma`: 444, or 420 with colours at half the resolution. `encoder`: another of FFmpeg's, such as hevc_nvenc, with
    its own `options`; then `preset` does not count."""

    name = "hevc"
    library = "libx265"
    syntax = HEVC
    tuning = (
        "x265-params",
        "info=0:log-level=none:keyint=-1:scenecut=0:open-gop=0:bframes=0:repeat-headers=1:"
        "pools=none:frame-threads=1:wpp=0:slices=1:psy-rd=0:psy-rdoq=0:aq-mode=0",
    )
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
