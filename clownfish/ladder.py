"""The ladder of adaptive sending: the settings there are to choose from, and what each is worth (layer 0).

A rung is what is sent (`Pace`, the filter's), as what (`Way`, the uplink's), what that costs in bytes, and what it
brings in accuracy over the edge alone, as a function of how late answers come. `clownfish tune --ladder` learns one
from validation streams; the file that it writes is read by `ladder_from`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clownfish.errors import ConfigError
from clownfish.messages import Pace


@dataclass(frozen=True, slots=True)
class Way:
    """How frames become bytes."""

    codec: str
    options: tuple[tuple[str, Any], ...] = ()
    """Of the codec: (name, value)."""
    scale: float = 1.0
    """Of both sides of a frame, before it is coded: (0, 1]."""

    @property
    def name(self) -> str:
        """`jpeg quality=40 scale=0.5`."""
        scale = [f"scale={self.scale:g}"] if self.scale != 1 else []
        return " ".join([self.codec, *(f"{name}={value}" for name, value in self.options), *scale])

    def size(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) of a frame that goes so: even, as video codecs want it, where it is scaled at all."""
        if self.scale == 1:
            return width, height
        return max(2, 2 * round(width * self.scale / 2)), max(2, 2 * round(height * self.scale / 2))


@dataclass(frozen=True, slots=True)
class Rung:
    """One setting, as measured on validation streams."""

    pace: Pace
    way: Way
    bytes_per_s: float
    """Of one stream, the mean."""
    window_bytes: float
    """Of one window that is sent, the mean: those of its frames that were not sent before."""
    live: tuple[float, ...]
    """What live answers gain in frame accuracy over the edge alone, at each of the ladder's lags."""
    final: float
    """What final answers gain."""


@dataclass(frozen=True, slots=True)
class Ladder:
    """`rungs` in order of bytes: the first is what is sent when little or nothing passes."""

    lags_s: tuple[float, ...]
    """At which `Rung.live` was measured, seconds, growing."""
    rungs: tuple[Rung, ...]

    def __post_init__(self) -> None:
        """Raises ConfigError where it is none to choose from."""
        if not self.rungs or not self.lags_s or list(self.lags_s) != sorted(set(self.lags_s)):
            raise ConfigError(f"a ladder needs rungs, and lags that grow; got {len(self.rungs)} rungs, {self.lags_s=}")
        for rung in self.rungs:
            if len(rung.live) != len(self.lags_s) or not rung.bytes_per_s > 0 or not rung.window_bytes > 0:
                raise ConfigError(f"a rung has bytes and a gain for each of {len(self.lags_s)} lags; got {rung}")
            if not 0 < rung.way.scale <= 1:
                raise ConfigError(f"{rung.way.name}: scale is {rung.way.scale}; expected 0 < scale ≤ 1")
        object.__setattr__(self, "rungs", tuple(sorted(self.rungs, key=lambda each: each.bytes_per_s)))

    def live_gain(self, rung: Rung, lag_s: float) -> float:
        """Of live answers where remote ones come so late; linear between the lags, and the last one's beyond."""
        at = bisect_right(self.lags_s, lag_s)
        if at == 0:
            return rung.live[0]
        if at == len(self.lags_s):
            return rung.live[-1]
        begin, end = self.lags_s[at - 1], self.lags_s[at]
        share = (lag_s - begin) / (end - begin)
        return (1 - share) * rung.live[at - 1] + share * rung.live[at]


def ladder_from(tree: Mapping[str, Any], where: str) -> Ladder:
    """The ladder of a file's tables. Raises ConfigError that names what is wrong of `where`."""
    try:
        rungs = tuple(
            Rung(
                Pace(**each["pace"]),
                Way(each["codec"], tuple(sorted(each.get("options", {}).items())), float(each.get("scale", 1.0))),
                float(each["bytes_per_s"]),
                float(each["window_bytes"]),
                tuple(map(float, each["live"])),
                float(each["final"]),
            )
            for each in tree["rung"]
        )
        return Ladder(tuple(map(float, tree["lags_s"])), rungs)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(
            f"{where}: is no ladder ({error!r}); expected lags_s and [[rung]] tables with pace, codec, options, scale, "
            "bytes_per_s, window_bytes, live, final: write one with `clownfish tune --ladder`"
        ) from error


def tree_of(ladder: Ladder) -> dict[str, Any]:
    """What `ladder_from` reads."""
    return {
        "lags_s": list(ladder.lags_s),
        "rung": [
            {
                "codec": rung.way.codec,
                "options": dict(rung.way.options),
                "scale": rung.way.scale,
                "pace": {name: getattr(rung.pace, name) for name in ("threshold", "patience", "follow", "n_w")},
                "bytes_per_s": rung.bytes_per_s,
                "window_bytes": rung.window_bytes,
                "live": list(rung.live),
                "final": rung.final,
            }
            for rung in ladder.rungs
        ],
    }
