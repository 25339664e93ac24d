"""What the network lab recorded, as the figures of the network ask for it: which, by what name, how drawn."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from clownfish.errors import DatasetError
from clownfish.evaluation.paper import style
from clownfish.evaluation.paper.base import Unavailable
from clownfish.evaluation.paper.context import Context
from clownfish.lab.recorded import Recorded

SECTIONS = "abca"
"""The profile of Fig. 13 and Table II: no cap, 7.5, 5 Mbit/s, no cap."""
OURS = "clownfish"
"""As the lab calls the method."""
_OURS = (
    style.Look("#0072B2", "o"),
    style.Look("#56B4E9", "P"),
    style.Look("#009E73", "D"),
    style.Look("#CC79A7", "v"),
    style.Look("#E69F00", "s"),
)


def runs(context: Context, networks: Collection[str] = (), file: str = "fig14") -> list[Recorded]:
    """Those in these networks, or in all: baselines first, then Clownfish with PNG, then with other codecs.

    Raises Unavailable where there is none, and says what to run.
    """
    found = [run for run in context.experiments if not networks or run.profile in networks]
    if not found:
        into = "FILE.json" if context.lab is None else context.lab
        into = into if str(into).endswith(".json") else f"{into}/{file}.json"
        raise Unavailable(
            f"no experiments recorded: run sudo deploy/netem/lab.sh run configs/lab/{file}.toml --json {into}"
        )
    return sorted(found, key=_place)


def _place(run: Recorded) -> tuple[int, bool, str, int]:
    methods = ("edge-only", "cloud-only", "early-discard", OURS)
    return (
        methods.index(run.method) if run.method in methods else len(methods),
        run.codec != "png",
        run.codec,
        run.n_w or 0,
    )


def of_the_same_streams(found: list[Recorded]) -> list[Recorded]:
    """These. Raises DatasetError where they played other streams, and their accuracies do not compare."""
    first = found[0]
    for run in found:
        if run.sources != first.sources:
            raise DatasetError(
                f"{run.method} in {run.profile} was run on {', '.join(run.sources)}, {first.method} in "
                f"{first.profile} on {', '.join(first.sources)}; expected the same: record them anew, or name one "
                f"file with --lab"
            )
    return found


def name(run: Recorded) -> str:
    """As `style` calls the baselines; Clownfish with what it sends."""
    if run.method == OURS:
        return f"Clownfish, n_w {run.n_w}, {run.codec.upper()}" if run.n_w else f"Clownfish, {run.codec.upper()}"
    method = run.method.replace("early-discard", style.DISCARD)
    return method if run.codec in ("", "png") else f"{method}, {run.codec.upper()}"


def looks(names: Iterable[str]) -> dict[str, style.Look]:
    """The baselines' own, and one for each Clownfish, in order."""
    found: dict[str, style.Look] = {}
    for each in names:
        if each not in found:
            number = sum(other not in style.LOOKS for other in found)
            found[each] = style.LOOKS.get(each) or _OURS[number % len(_OURS)]
    return found


def cap(rate_mbit: float | None) -> str:
    """In words."""
    return "no cap" if rate_mbit is None else f"{rate_mbit:g} Mbit/s"
