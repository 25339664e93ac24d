"""Similarity functions: ρ_t from two windows that follow each other (§III-C, §V). Layer 0.

To add one: a file here with a class like `base.Similarity`, a line below, and it rides tests/test_similarity.py.
"""

from clownfish.registry import Registry
from clownfish.similarity.base import Similarity

SIMILARITIES: Registry[type[Similarity]] = Registry(
    "similarity",
    {
        "siminet": "clownfish.similarity.siminet:SimiNet",
        "cosine": "clownfish.similarity.cosine:Cosine",
        "euclidean": "clownfish.similarity.euclidean:Euclidean",
        "overlap": "clownfish.similarity.overlap:Overlap",
        "constant": "clownfish.similarity.constant:Constant",
        "oracle": "clownfish.similarity.oracle:Oracle",
    },
)
