"""The paper's claims, asked of one data set's figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from clownfish.evaluation.metrics import Ints
from clownfish.evaluation.paper import early_discard, fig7, methods, reasons, style
from clownfish.evaluation.paper.base import Unavailable
from clownfish.evaluation.paper.claims import LITTLE, NEAR, At, Verdict, at_all, at_one, on_average, undecided
from clownfish.evaluation.paper.context import Context
from clownfish.evaluation.paper.fig7 import INTERVALS, LAGS, final, live
from clownfish.evaluation.paper.sweep import Outcome, Setting, ahead

Pairs = Sequence[tuple[str, Sequence[Outcome], Sequence[Outcome]]]
"""(where, ours on each stream, theirs on each stream)."""


def verdicts(context: Context) -> list[Verdict]:
    """In the order of the paper. What is computed is kept in the context: the figures have it already."""
    context.rows("fig7")  # all of its settings at once keep the processes busier than claim by claim
    return [claim(context) for claim in CLAIMS]


def near_cloud(context: Context) -> Verdict:
    gains = _against_cloud(context, live, LAGS)
    claim = "Fused answers, live, stay within 2 points of cloud-only at every n_w ≤ 10 and lag ≤ 4 (§VI-C)"
    return _with_reason(at_all(claim, gains, -NEAR), lambda: reasons.after_transitions(context))


def near_cloud_in_the_end(context: Context) -> Verdict:
    gains = _against_cloud(context, final, LAGS[-1:])
    claim = (
        "Fused answers, once all of the cloud's have come (final), stay within 2 points of cloud-only at every n_w ≤ 10"
    )
    return _with_reason(at_all(claim, gains, -NEAR), lambda: reasons.noticed(context))


def above_cosine(context: Context) -> Verdict:
    claim = "SimiNet is above cosine similarity (§VI-C)"
    return _with_reason(
        _compared(context, claim, methods.COSINE, 0.0),
        lambda: reasons.apart(context, (methods.SIMINET, methods.COSINE)),
    )


def above_fix_ma(context: Context) -> Verdict:
    claim = "SimiNet is above FixMA, Alg. 1 with α = 0.5 (§VI-C)"
    return _with_reason(_compared(context, claim, methods.FIX_MA, 0.0), lambda: reasons.after_transitions(context))


def above_strong_fix_ma(context: Context) -> Verdict:
    claim = "SimiNet is above a constant of 0.9, too (ours: a stronger opponent)"
    return _with_reason(
        _compared(context, claim, methods.FIX_MA_STRONG, 0.0), lambda: reasons.after_transitions(context)
    )


def near_opt_sim(context: Context) -> Verdict:
    claim = "SimiNet is near OptSim, within 2 points on average (§VI-C)"
    return _with_reason(
        _compared(context, claim, methods.OPT_SIM, -NEAR), lambda: reasons.known_contexts(context)
    )  # fmt: skip


def little_loss(context: Context) -> Verdict:
    found = context.outcomes(_siminet(n_w, lag) for n_w in (6, 7) for lag in LAGS)
    pairs = [(f"lag {lag}", found[_siminet(7, lag)], found[_siminet(6, lag)]) for lag in LAGS]
    claim = "From n_w = 6 to 7 little is lost, at most 1 point at every lag (§VI-C)"
    return _with_reason(at_all(claim, _gains(pairs, live), -LITTLE), lambda: reasons.noticed(context))


def above_discard(context: Context) -> Verdict:
    claim = "Clownfish is above early discard in accuracy (§VI-G)"
    where = f"at n_w = {early_discard.N_W}, both at lag {early_discard.LAG}"
    try:
        gain = early_discard.clownfish_ahead(context)
    except Unavailable as error:
        return undecided(claim, str(error))
    return _with_reason(at_one(claim, gain, where, 0.0), lambda: reasons.what_discard_sends(context))


CLAIMS: tuple[Callable[[Context], Verdict], ...] = (
    near_cloud,
    near_cloud_in_the_end,
    above_cosine,
    above_fix_ma,
    above_strong_fix_ma,
    near_opt_sim,
    little_loss,
    above_discard,
)
"""To add one: a function above, and its name here."""


def gaps(context: Context) -> list[tuple[int, int, float]]:
    """(n_w, lag, live accuracy less cloud-only's) of SimiNet."""
    rows = [row for row in context.rows("fig7") if row.method == methods.SIMINET]
    return [(row.n_w, row.lag, row.above_cloud) for row in rows]


def _siminet(n_w: int, lag: int) -> Setting:
    return Setting.of(methods.SIMINET, n_w, lag)


def _against_cloud(
    context: Context, answers: Callable[[Sequence[Outcome]], Sequence[Ints]], lags: Sequence[int]
) -> list[At]:
    cloud = fig7.alone(context.streams)[style.CLOUD]
    places = [(n_w, lag) for lag in lags for n_w in INTERVALS]
    found = context.outcomes(_siminet(*place) for place in places)
    return [At(_where(*place), ahead([answers(found[_siminet(*place)])], [cloud])) for place in places]


def _compared(context: Context, claim: str, other: str, bound: float) -> Verdict:
    places = [(n_w, lag) for lag in LAGS for n_w in INTERVALS]
    found = context.outcomes(Setting.of(m, *place) for m in (methods.SIMINET, other) for place in places)
    pairs = [(_where(*place), found[_siminet(*place)], found[Setting.of(other, *place)]) for place in places]
    mean = ahead([live(ours) for _, ours, _ in pairs], [live(theirs) for _, _, theirs in pairs])
    return on_average(claim, mean, _gains(pairs, live), bound)


def _gains(pairs: Pairs, answers: Callable[[Sequence[Outcome]], Sequence[Ints]]) -> list[At]:
    return [At(where, ahead([answers(ours)], [answers(theirs)])) for where, ours, theirs in pairs]


def _where(n_w: int, lag: int) -> str:
    return f"n_w = {n_w}, lag {lag}"


def _with_reason(verdict: Verdict, reason: Callable[[], str]) -> Verdict:
    """The verdict; where it is no, with the reason, which is looked for then alone."""
    if verdict.holds is not False:
        return verdict
    return Verdict(verdict.claim, verdict.holds, verdict.sure, verdict.found, reason())
