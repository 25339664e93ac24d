"""The contract of a sink: where answers go (layer 1). Each sink is a process of its own, so none can slow the edge."""

from __future__ import annotations

from typing import Literal, Protocol

from clownfish.messages import End, FusedResult

Mode = Literal["live", "revisions", "final"]


def wanted(mode: Mode, result: FusedResult) -> bool:
    """Whether a consumer of `mode` gets `result`: `live` revision 0, `final` closing revisions, `revisions` all."""
    if mode == "live":
        return result.revision == 0
    if mode == "final":
        return result.final
    return True


class Sink(Protocol):
    """Options are keyword arguments of the constructor, which raises SinkError where the target cannot be opened."""

    def write(self, result: FusedResult) -> None:
        """Take one result. May raise SinkError (a full disk): the service counts it and goes on."""

    def end(self, end: End) -> None:
        """A stream ended: flush what concerns it."""

    def close(self) -> None:
        """Flush and release. Safe to call twice."""
