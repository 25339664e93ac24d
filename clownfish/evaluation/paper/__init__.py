"""The paper's evaluation (§VI), figure by figure, over recorded answers, and over
what the network lab recorded: `clownfish eval figure`, `table` and `paper`.

To add a figure: a file here that ends in an `Exhibit` (compute → rows, draw(rows) → picture), a line below, and it
rides tests/test_paper.py. To show it in the report, name it in a section (`sections.py`).
"""

from typing import Any

from clownfish.evaluation.paper.base import Exhibit
from clownfish.registry import Registry

EXHIBITS: Registry[Exhibit[Any]] = Registry(
    "figure",
    {
        "fig1": "clownfish.evaluation.paper.fig1:FIGURE",
        "fig2": "clownfish.evaluation.paper.fig2:FIGURE",
        "fig7": "clownfish.evaluation.paper.fig7:FIGURE",
        "fig8": "clownfish.evaluation.paper.fig8:FIGURE",
        "fig9": "clownfish.evaluation.paper.fig9:FIGURE",
        "fig10": "clownfish.evaluation.paper.fig10:FIGURE",
        "fig11": "clownfish.evaluation.paper.fig11:FIGURE_11",
        "fig12": "clownfish.evaluation.paper.fig11:FIGURE_12",
        "fig13": "clownfish.evaluation.paper.fig13:FIGURE",
        "fig14": "clownfish.evaluation.paper.fig14:FIGURE",
        "fig15": "clownfish.evaluation.paper.fig15:FIGURE",
        "table2": "clownfish.evaluation.paper.table2:TABLE",
        "table3": "clownfish.evaluation.paper.table3:TABLE",
        "discard": "clownfish.evaluation.paper.early_discard:FIGURE",
        "contexts": "clownfish.evaluation.paper.contexts:FIGURE",
        "networks": "clownfish.evaluation.paper.networks:FIGURE",
        "moments": "clownfish.evaluation.paper.moments:FIGURE",
    },
)
"""`figN` and `tableN` are the paper's; the others are ours, and show reasons."""
