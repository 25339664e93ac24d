"""What settings are made of: bounded values, names of plug-ins, tables of a file (layer 1).

Plain values; how a file is validated against them is pydantic's, which asks `__get_pydantic_core_schema__` and is
imported by nobody else.
"""

from __future__ import annotations

import inspect
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, ClassVar

from clownfish.errors import ConfigError
from clownfish.registry import Registry


@dataclass(frozen=True)
class Bounds:
    """What a number or text must fit."""

    gt: float | None = None
    ge: float | None = None
    le: float | None = None
    pattern: str | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        bounds = {each.name: getattr(self, each.name) for each in fields(self)}
        return {**handler(source), **{name: bound for name, bound in bounds.items() if bound is not None}}


@dataclass(frozen=True)
class OneOf:
    """A plug-in's `kind`, or a plain name, must be one of this registry's, or module:attribute."""

    registry: Registry[Any]

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema  # only where files are validated

        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        """What editors offer: names that are known, though others may do."""
        known: dict[str, Any] = handler(schema)
        known.get("properties", {}).get("kind", known)["examples"] = self.registry.names()
        return known

    def _check(self, plugin: Plugin | str) -> Plugin | str:
        kind = plugin if isinstance(plugin, str) else plugin.kind
        if kind not in self.registry.names() and ":" not in kind:
            known = ", ".join(self.registry.names())
            raise ValueError(f"unknown {self.registry.kind} {kind!r}; known: {known}, or module:attribute")
        return plugin


Name = Annotated[str, Bounds(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
Endpoint = Annotated[str, Bounds(pattern=r"^(tcp://[^\s:]+:\d{1,5}|tcp://\[[0-9a-fA-F:]+\]:\d{1,5}|ipc://.+)$")]


def host_port(address: str) -> tuple[str, int]:
    """Of `tcp://HOST:PORT` or `HOST:PORT`, as settings have validated them; an IPv6 address without its brackets."""
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    return host.strip("[]"), int(port)


def is_exposed(endpoint: str) -> bool:
    """Whether others than this host may reach the endpoint. A name other than `localhost` may mean any address."""
    if not endpoint.startswith("tcp://"):
        return False
    host, _ = host_port(endpoint)
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"


def both_keys(key: str, router_key: str) -> None:
    """A key that is half given is none. Raises ValueError."""
    if bool(key) != bool(router_key):
        raise ValueError("key and router_key go together: this device's own key, and the router's public key")


class Section:
    """A table of the file. Unknown keys are errors; a string below a key says what it is for."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "use_attribute_docstrings": True}


@dataclass(frozen=True)
class Plugin:
    """A table that picks a plug-in by `kind`; its other keys are that plug-in's own options."""

    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def __hash__(self) -> int:  # options are a table, which has none of its own
        return hash((self.kind, repr(sorted(self.options.items()))))

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> Plugin:
        """Raises ValueError where `kind` is missing or no text."""
        kind = table.get("kind")
        if not isinstance(kind, str):
            raise ValueError(f"expected a table with `kind` and that plug-in's options, read {dict(table)}")
        return cls(kind, {key: value for key, value in table.items() if key != "kind"})

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        table = core_schema.typed_dict_schema(
            {"kind": core_schema.typed_dict_field(core_schema.str_schema(), required=True)},
            extra_behavior="allow",
            cls_name="Plugin",
        )
        return core_schema.no_info_after_validator_function(cls.from_table, table)

    def table(self) -> dict[str, Any]:
        """As it stands in a file."""
        return {"kind": self.kind, **self.options}

    def build(self, registry: Registry[Any], **given: Any) -> Any:
        """Construct it. Raises ConfigError where an option is unknown, missing or wrong."""
        factory = registry.get(self.kind)
        try:
            return factory(**given, **self.options)
        except (TypeError, ValueError) as error:
            allowed = ", ".join(str(p) for p in inspect.signature(factory).parameters.values() if p.name not in given)
            raise ConfigError(f"{registry.kind} {self.kind!r}: {error}; its options: {allowed or 'none'}") from error
