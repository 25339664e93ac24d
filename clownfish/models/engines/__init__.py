"""What computes a network's answers: torch, or a runtime that does it faster. Layer 1.

`[local] engine` and `[worker] engine` name one; `clownfish model bench` says which is the fastest that still answers as
fp32 does. To add one: a file here with a class like `base.Engine`, a line below, and it rides
tests/engines_apart.py.
"""

from typing import TYPE_CHECKING

from clownfish.registry import Registry

if TYPE_CHECKING:
    from clownfish.models.engines.base import Engine

ENGINES: "Registry[type[Engine]]" = Registry(
    "engine",
    {
        "torch": "clownfish.models.engines.eager:Eager",
        "torch-int8": "clownfish.models.engines.int8:StaticInt8",
        "openvino": "clownfish.models.engines.openvino:OpenVino",
        "onnxruntime": "clownfish.models.engines.onnxruntime:OnnxRuntime",
    },
)
