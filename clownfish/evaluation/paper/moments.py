"""Ours: when to ask the cloud. With a similarity that knows the transitions, a window is sent some windows after each.

Earlier, the window sent still shows mostly the old context, and its answer describes that; later, the edge is on its
own for longer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clownfish.evaluation.paper import methods, style
from clownfish.evaluation.paper.base import Exhibit
from clownfish.evaluation.paper.context import Context
from clownfish.evaluation.paper.fig7 import final, live
from clownfish.evaluation.paper.sweep import Setting, shared
from clownfish.filters.base import Verdict
from clownfish.filters.periodic import Periodic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DELAYS = tuple(range(7))
LAGS = (0, 1, 2, 4)
N_W = 6
FELL = 0.5


class AfterChange:
    """Sends by period, and the window that comes `delay` windows after ρ fell below one half; that restarts the
    period."""

    def __init__(self, n_w: int = N_W, delay: int = 1) -> None:
        """`delay` in windows, at least 0."""
        if delay < 0:
            raise ValueError(f"delay is {delay}; expected at least 0 windows")
        self.delay = delay
        self._period = Periodic(n_w)
        self._due: int | None = None

    def on_window(self, t: int) -> Verdict:
        return Verdict.SEND if self._period.on_window(t) is Verdict.SEND else Verdict.WAIT

    def on_rho(self, t: int, rho: float | None) -> bool:
        if rho is not None and rho < FELL:
            self._due = t + self.delay
        if self._due is None or t < self._due:
            return False
        self._due = None
        self._period.restart(t)
        return True


@dataclass(frozen=True, slots=True)
class Row:
    """One moment at one lag."""

    delay: int
    """Windows after the first one whose middle frame shows the new context."""
    lag: int
    live: float
    final: float
    sent: float


def compute(context: Context) -> list[Row]:
    """OptSim for fusion and for the policy; SimiNet has no part in it."""
    settings = {
        (delay, lag): Setting(methods.OPT_SIM, lag, f"{__name__}:AfterChange", (("n_w", N_W), ("delay", delay)))
        for lag in LAGS
        for delay in DELAYS
    }
    outcomes = context.outcomes(settings.values())
    windows = sum(stream.dump.windows for stream in context.streams)
    return [
        Row(
            delay, lag, shared(live(outcomes[each])).value, shared(final(outcomes[each])).value,
            sum(len(outcome.sent) for outcome in outcomes[each]) / windows,
        )
        for (delay, lag), each in settings.items()
    ]  # fmt: skip


def draw(rows: Sequence[Row]) -> Figure:
    """Accuracy over the moment, a line a lag."""
    figure = style.new_figure(3.2)
    axes = figure.subplots()
    for lag, colour, marker in zip(LAGS, ("#0072B2", "#E69F00", "#009E73", "#D55E00"), "osD^", strict=True):
        mine = [row for row in rows if row.lag == lag]
        axes.plot(
            [row.delay for row in mine], [100 * row.live for row in mine],
            color=colour, marker=marker, markersize=4, linewidth=1.4, label=f"live, lag {lag}",
        )  # fmt: skip
    mine = [row for row in rows if row.lag == LAGS[-1]]
    axes.plot(
        [row.delay for row in mine], [100 * row.final for row in mine], color="#000000", linestyle="--", label="final"
    )
    style.tidy(axes, x="window sent, in windows after the context changed", y="frame accuracy, %")
    style.legend_below(figure, axes)
    return figure


FIGURE = Exhibit(
    "moments",
    "When to ask: the moment of the window sent, with the true transitions known",
    f"OptSim, n_w = {N_W}, and one window sent so many windows after each true transition (0: the first whose "
    "middle frame shows the new context). The paper's policy fires when similarity recovers, which with OptSim is"
    " at 1.",
    Row,
    compute,
    draw,
)  # fmt: skip
