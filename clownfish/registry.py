"""Plug-ins by name: a name in the configuration picks one, an unknown name is answered with the known ones.

A plug-in's module is imported when it is asked for, not before, so that naming torch's or OpenCV's costs nothing.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Generic, TypeVar, cast

from clownfish.errors import ConfigError

T = TypeVar("T")


class Registry(Generic[T]):
    """Maps a plug-in's name to "module:attribute"; a name with a colon is itself such a path, for a user's own."""

    def __init__(self, kind: str, builtin: Mapping[str, str], extras: Mapping[str, str] | None = None) -> None:
        """`extras`: the extra of this package that a plug-in needs, by its name."""
        self.kind = kind
        self._paths = dict(builtin)
        self._extras = dict(extras or {})

    def names(self) -> list[str]:
        return sorted(self._paths)

    def extra(self, name: str) -> str | None:
        """The extra of this package that the plug-in needs, where one was declared."""
        return self._extras.get(name)

    def get(self, name: str) -> T:
        """The plug-in called `name`. Raises ConfigError with the known names, or with what failed to import."""
        path = self._paths.get(name, name if ":" in name else None)
        if path is None:
            raise ConfigError(f"unknown {self.kind} {name!r}; known: {', '.join(self.names())}, or module:attribute")
        module, _, attribute = path.partition(":")
        try:
            return cast(T, getattr(importlib.import_module(module), attribute))
        except (ImportError, AttributeError) as error:
            extra = self._extras.get(name)
            remedy = f"; it needs the extra {extra!r}: pip install 'clownfish[{extra}]'" if extra else ""
            raise ConfigError(f"{self.kind} {name!r} cannot be loaded from {path}: {error}{remedy}") from error
