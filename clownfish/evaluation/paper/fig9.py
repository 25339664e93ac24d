"""Figure 9 (§VI-F): as Figure 7, with another local model on the edge and the same remote one."""

from __future__ import annotations

from clownfish.evaluation.paper import fig7, methods
from clownfish.evaluation.paper.base import Exhibit
from clownfish.evaluation.paper.context import Context


def compute(context: Context) -> list[fig7.Row]:
    """Raises Unavailable where there is no second local model."""
    return fig7.compute(context.second_local, methods.FEWER)


FIGURE = Exhibit(
    "fig9",
    "Figure 9: the same with another local model",
    "As Figure 7. Unless a model was named with --local2, the local model is the pair's own that is given less to"
    " look at than it was trained on (puppets: one frame a window; ucf9: 48×36 pixels), and SimiNet is the "
    "pair's, trained on the stronger one's features.",
    fig7.Row,
    compute,
    fig7.draw,
    fig7.table,
)
