"""Fusion methods: how one stream's local and remote answers become one (§IV, and what else was tried). Layer 0.

To add one: a file here with a class like `base.FusionMethod` (most easily on `chain.Chain`), a line below, and it rides
tests/test_fusions.py.
"""

from __future__ import annotations

from collections.abc import Sequence

from clownfish.fusions.base import FusionMethod, FusionSettings
from clownfish.registry import Registry

FUSIONS: Registry[type[FusionMethod]] = Registry(
    "fusion method",
    {
        "exponential": "clownfish.fusion:Fusion",
    },
)


def build_fusion(
    section: FusionSettings, *, stream: str = "", epoch: int = 0, classes: Sequence[str] = ()
) -> FusionMethod:
    """The machine of one stream and epoch that a [fusion] section asks for; `classes` in the order of p.

    Raises ConfigError where the method or an option is none, and ModelError where its weights do not fit.
    """
    machine: FusionMethod = section.method.build(
        FUSIONS,
        theta=section.theta,
        remote_weight=section.remote_weight,
        horizon=section.horizon,
        anchor_beta=section.anchor_beta,
        stream=stream,
        epoch=epoch,
        classes=classes,
    )
    return machine
