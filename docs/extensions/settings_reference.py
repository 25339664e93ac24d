"""The keys of configuration files, from the schemas that files are validated against."""

from __future__ import annotations

from tables import sections

from clownfish.config import schema
from clownfish.models.description import ModelDescription
from clownfish.training.config import ClassifierConfig, DiscardConfig, SimiNetConfig


def settings() -> str:
    """Of edge and cloud: what `clownfish config schema` says."""
    return "\n".join(sections(schema()))


def classifiers() -> str:
    """Of `clownfish train local`, `remote` and `discard`."""
    own = {**DiscardConfig.model_json_schema()["properties"]}.keys() - ClassifierConfig.model_fields.keys()
    assert own == {"discard"}  # what it has beside is on the same page
    return "\n".join(sections(DiscardConfig.model_json_schema(), level=3))


def siminets() -> str:
    """Of `clownfish train siminet`."""
    return "\n".join(sections(SimiNetConfig.model_json_schema(), level=3))


def descriptions() -> str:
    """Of the .json beside a model."""
    return "\n".join(sections(ModelDescription.model_json_schema(), level=3))
