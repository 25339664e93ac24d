"""3D ResNeXt-101, the best of the paper's remote models (§VI-A).

Layers, names and shapes are those of the public 3D-ResNets-PyTorch checkpoints, as in `models.resnet`: cardinality 32,
and the middle of a block half as wide as what comes out.
"""

from __future__ import annotations

from clownfish.models.resnet import BOTTLENECK, Bottleneck, ResidualNet3d, Shortcut

CARDINALITY = 32
STEM = 64
CHANNELS = (256, 512, 1024, 2048)


class ResNeXt3d(ResidualNet3d):
    """(batch, 3, time, height, width) → logits (batch, classes).

    `depth` is 50 or 101; `width` scales all channels, in steps of 1/4 (each group of the first stage then loses one
    of its four). The embedding has 2048 · width numbers.
    """

    def __init__(self, classes: int, depth: int = 101, shortcut: Shortcut = "B", width: float = 1.0) -> None:
        if depth not in BOTTLENECK or shortcut not in ("A", "B"):
            raise ValueError(f"depth is {depth}, shortcut {shortcut!r}; there are {sorted(BOTTLENECK)} and 'A', 'B'")
        if width <= 0 or (width * 4) % 1:
            raise ValueError(f"width is {width}; it must be a multiple of 0.25, for {CARDINALITY} equal groups")
        stages = zip([int(c * width) for c in CHANNELS], BOTTLENECK[depth], strict=True)
        super().__init__(
            classes,
            int(STEM * width),
            stages,
            lambda i, o, s, t: Bottleneck(i, o // 2, o, s, t, shortcut, groups=CARDINALITY),
        )
