"""Classifiers over windows. Layer 1; with training code, the only place that imports torch.

An architecture is a torch module built by `(classes=int, **options)` that has `embed(x)` → embedding and
`head(embedding)` → logits, x of shape (batch, 3, time, height, width).

To add one: a file here with such a class, a line below, and it rides tests/test_models.py.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from clownfish.registry import Registry

if TYPE_CHECKING:
    from clownfish.models.adapter import Network

ARCHITECTURES: "Registry[Callable[..., Network]]" = Registry(
    "architecture",
    {
        "mobilenet3d": "clownfish.models.mobilenet:MobileNet3d",
        "resnet3d": "clownfish.models.resnet:ResNet3d",
        "resnext3d": "clownfish.models.resnext:ResNeXt3d",
        "framenet": "clownfish.models.frame:FrameNet",
        "keypoint": "clownfish.models.keypoint:KeypointNet",
        "stacked": "clownfish.models.stacked:StackedNet",
    },
)
