"""Why a claim fails, told from the same data as the claim."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clownfish.evaluation.paper import contexts, early_discard, fig2, methods, style
from clownfish.evaluation.paper.context import Context
from clownfish.evaluation.paper.fig7 import alone, live, percent
from clownfish.evaluation.paper.sweep import Setting, ahead, shared

RISE = 0.5
"""Of ρ, at which the paper's policy sends (§III-D)."""


@dataclass(frozen=True, slots=True)
class Rises:
    """Where ρ rises by RISE or more."""

    at_transitions: float
    """Share of the transitions at which it does, in the window before to three after."""
    elsewhere: int
    """How often it does where there is no transition."""
    transitions: int


def rises(context: Context, method: str) -> Rises:
    """Of a similarity over all streams."""
    hits = transitions = elsewhere = 0
    for stream, rho in zip(context.streams, context.rho(method), strict=True):
        rose = np.diff(rho, prepend=np.nan) >= RISE  # NaN compares false
        number = fig2.contexts_of(stream)
        near = np.zeros(len(rho), bool)
        for at in np.flatnonzero((number[1:] != number[:-1]) & (number[1:] > 0)) + 1:
            around = slice(max(0, at - 1), at + 4)
            near[around] = True
            transitions += 1
            hits += bool(rose[around].any())
        elsewhere += int((rose & ~near).sum())
    return Rises(hits / transitions if transitions else float("nan"), elsewhere, transitions)


def after_transitions(context: Context) -> str:
    """Where live answers lose to the cloud's, and what the lag alone costs."""
    rows = context.rows("contexts")
    border = contexts.N_W
    total = sum(row.windows for row in rows if row.method == style.CLOUD)
    near = sum(row.windows for row in rows if row.method == style.CLOUD and row.since < border)
    mine, cloud = (contexts.near_and_far(rows, method, border) for method in (style.LIVE, style.CLOUD))
    baseline = alone(context.streams)[style.CLOUD]
    everything = Setting.of(methods.SIMINET, 1, 4)
    late = ahead([live(context.outcomes([everything])[everything])], [baseline])
    return (
        f"The loss lies right after transitions. At n_w = {border} and lag {contexts.LAG}, in the first {border} "
        "windows of a "
        f"context ({percent(near / total)} % of the windows) live answers are right on {percent(mine[0])} % and "
        "cloud-only's on "
        f"{percent(cloud[0])} %; later on {percent(mine[1])} % and {percent(cloud[1])} %. Lag alone, with every "
        "window sent "
        f"(n_w = 1, lag 4), costs {percent(-late.value)} points. {noticed(context)}"
    )


def noticed(context: Context) -> str:
    """How many transitions the policy hears of."""
    found, known = rises(context, methods.SIMINET), rises(context, methods.OPT_SIM)
    return (
        f"SimiNet rises by {RISE:g} at {percent(found.at_transitions)} % of the {found.transitions} transitions "
        "(OptSim at "
        f"{percent(known.at_transitions)} %): at the others the cloud is asked when the period says so, up to n_w "
        "windows later."
    )


def apart(context: Context, methods_named: tuple[str, ...]) -> str:
    """How far each similarity tells neighbours within a context from those across a transition."""
    rows = [row for row in context.rows("fig2") if row.distance == 1]
    clauses = []
    for method in methods_named:
        mean = {row.pairs: row.mean for row in rows if row.method == method}
        if fig2.WITHIN in mean and fig2.ACROSS in mean:
            clauses.append(f"{method} {mean[fig2.WITHIN]:.2f} and {mean[fig2.ACROSS]:.2f}")
    return f"Mean ρ of neighbours within a context and across a transition: {'; '.join(clauses)}."


def what_discard_sends(context: Context) -> str:
    """What early discard pays for its accuracy, and what it would have for what Clownfish pays."""
    rows = context.rows("discard")
    theirs = next(row for row in rows if row.method == early_discard.CHOSEN)
    ours = next(row for row in rows if row.method == methods.SIMINET and row.setting == early_discard.N_W)
    curve = sorted(
        (row for row in rows if row.method in (early_discard.CHOSEN, early_discard.OTHER)), key=lambda row: row.sent
    )
    live = [row.live for row in curve]
    at_windows = float(np.interp(ours.sent, [row.sent for row in curve], live))
    at_bytes = float(np.interp(1 - ours.saved, [1 - row.saved for row in curve], live))
    return (
        f"Early discard sends {percent(theirs.sent)} % of the windows and saves {percent(theirs.saved)} % of the "
        "bytes, "
        f"Clownfish {percent(ours.sent)} % and {percent(ours.saved)} %. With a threshold at which it sends as many "
        f"windows as Clownfish it is right on {percent(at_windows)} % of the frames, with as many bytes on "
        f"{percent(at_bytes)} % (Clownfish: {percent(ours.live)} %): the windows that it sends follow each other and "
        "share frames, and what it discards it answers at once, without waiting for the cloud."
    )


def known_contexts(context: Context, n_w: int = 6, lag: int = 1) -> str:
    """What knowing the contexts is worth."""
    mine, known = (Setting.of(method, n_w, lag) for method in (methods.SIMINET, methods.OPT_SIM))
    found = context.outcomes([mine, known])
    ours, theirs = (shared(live(found[each])).value for each in (mine, known))
    return (
        f"At n_w = {n_w} and lag {lag}: SimiNet {percent(ours)} %, OptSim {percent(theirs)} %. "
        f"{apart(context, (methods.SIMINET, methods.OPT_SIM))} {noticed(context)} {best_moment(context, lag)}"
    )


def best_moment(context: Context, lag: int) -> str:
    """When the cloud is best asked, were the transitions known."""
    live_at = {row.delay: row.live for row in context.rows("moments") if row.lag == lag}
    best = max(live_at, key=lambda delay: live_at[delay])
    found = [f"{percent(live_at[delay])} % at {delay}" for delay in dict.fromkeys((best, 0, 1, 3, max(live_at)))]
    return (
        f"Were all transitions known, live accuracy at lag {lag} would be {', '.join(found)} windows after each "
        "at which "
        f"the cloud is asked: best at {best}; the policy asks at 1."
    )
