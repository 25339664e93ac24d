"""Codecs: how one frame becomes bytes for the uplink. Layer 1.

To add one: a file here with a class like `base.Codec`, a line below, and it rides tests/test_codecs.py.
"""

from clownfish.codecs.base import Codec
from clownfish.registry import Registry

CODECS: Registry[type[Codec]] = Registry(
    "codec",
    {
        "raw": "clownfish.codecs.raw:Raw",
        "png": "clownfish.codecs.png:Png",
        "jpeg": "clownfish.codecs.jpeg:Jpeg",
    },
)
