"""What consumers of different patience get (DESIGN §6): live, revised and final answers, scored apart.

*Live* is revision 0. *Final* is the closing revision. Between them lies *revised*, after k windows: the newest revision
of window n that a consumer has once window n + k has been fused and everything that came while that was the newest has
been applied. So "after 0 windows" knows the results that came in window n's own turn, after its live answer; and from
some k on, nothing changes any more and revised is final.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from clownfish.evaluation.metrics import Ints
from clownfish.evaluation.transitions import Revised

PATIENCE = (0, 6, 24)
"""Windows: at once, one period of the filter, four of them."""


def answers_after(live: Ints, revised: Revised, windows: int | None) -> Ints:
    """(windows,) what each window's answer is `windows` windows later; None: after all revisions.

    `live`: (windows,) class of revision 0. Raises ValueError for a negative number, or a revision of a window that is
    not there.
    """
    if windows is not None and windows < 0:
        raise ValueError(f"{windows} windows later is before the window: expected 0 or more")
    answers: Ints = live.copy()
    for n_now, n, answer in revised:
        if not 0 <= n <= n_now < len(live):
            raise ValueError(f"window {n} is revised at window {n_now}; there are {len(live)} windows")
        if windows is None or n_now <= n + windows:
            answers[n] = answer
    return answers


def answers_by_patience(
    live: Ints, final: Ints, revised: Sequence[tuple[int, int, int]], patience: Iterable[int] = PATIENCE
) -> Mapping[str, Ints]:
    """Name → answers: `live`, `after K windows` for each of `patience`, `final`."""
    return {
        "live": live,
        **{f"after {k} windows": answers_after(live, revised, k) for k in patience},
        "final": final,
    }
