"""Figure 10 (§VI-F): as Figure 7, seen from a camera that no model was trained on (cross-view)."""

from __future__ import annotations

from clownfish.evaluation.paper import fig7, methods
from clownfish.evaluation.paper.base import Exhibit
from clownfish.evaluation.paper.context import Context


def compute(context: Context) -> list[fig7.Row]:
    """Raises Unavailable where the data set has one view alone."""
    return fig7.compute(context.cross_view, methods.FEWER)


FIGURE = Exhibit(
    "fig10",
    "Figure 10: cross-view",
    "As Figure 7, on the same performances from the left: a camera that neither model nor SimiNet has seen in "
    "training.",
    fig7.Row,
    compute,
    fig7.draw,
    fig7.table,
)
