"""A user's model with a bug in it."""

from __future__ import annotations


class Broken:
    """Raises what nobody expects as soon as it is loaded."""

    classes = ("bow", "clap")

    def __init__(self) -> None:
        raise ZeroDivisionError("a bug in a user's model")
