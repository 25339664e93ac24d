"""The similarities that the paper compares (§VI-B), by the names that its figures give them."""

from __future__ import annotations

from collections.abc import Mapping

from clownfish.fusion import FALLBACK_ALPHA
from clownfish.settings import Plugin

SIMINET, COSINE, EUCLIDEAN, FIX_MA, FIX_MA_STRONG, OPT_SIM = (
    "SimiNet",
    "cosine",
    "Euclidean",
    "FixMA",
    "FixMA 0.9",
    "OptSim",
)

FUSED = (SIMINET, COSINE, FIX_MA, FIX_MA_STRONG, OPT_SIM)
"""Of Figure 7. FixMA is Alg. 1 with α = 0.5, the α that it falls back to, as in the paper's analysis; with
that, a remote answer is forgotten within two windows. FixMA 0.9 is the stronger opponent: our `constant`'s default."""

FEWER = (SIMINET, COSINE, FIX_MA, OPT_SIM)
"""Of Figures 9 and 10, as in the paper."""

SEEN = (SIMINET, COSINE, EUCLIDEAN, OPT_SIM)
"""Of Figures 2 and 8: a constant has nothing to show there."""

_KINDS: Mapping[str, Plugin] = {
    SIMINET: Plugin("siminet"),
    COSINE: Plugin("cosine"),
    EUCLIDEAN: Plugin("euclidean"),
    FIX_MA: Plugin("constant", {"value": FALLBACK_ALPHA}),
    FIX_MA_STRONG: Plugin("constant", {"value": 0.9}),
    OPT_SIM: Plugin("oracle"),
}


def similarity(method: str, siminet: str) -> Plugin:
    """The plug-in of that method; `siminet` names the weights of the pair's, "" for the default's. Raises KeyError."""
    plugin = _KINDS[method]
    return Plugin(plugin.kind, {"weights": siminet}) if method == SIMINET and siminet else plugin
