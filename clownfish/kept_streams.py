"""What was added to a configuration's streams, and removed from them, while its graph ran (layer 1).

    STATE/streams.json   {"format": …, "added": [a stream as in [[streams]], …], "removed": [names of configured ones]}

It lies where it outlives the graph and the box, mode 0600 because a source may hold a password, and is merged over the
configuration at the next start. Of a stream that is in the file and was added, too, the file's holds: whoever wrote it
down there wanted to keep it. What refers to nothing is forgotten.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from clownfish.atomic import write_text
from clownfish.config import validate_as
from clownfish.errors import ConfigError
from clownfish.redaction import redacted
from clownfish.settings import Config, Stream, to_tree

_FORMAT = "clownfish-streams/1"
_SHOWN = 300
"""Characters of a source."""
_UNKNOWN = {"state": "unknown", "frames": 0, "why": "capture does not answer"}


@dataclass(frozen=True)
class Changes:
    """To the streams of a configuration."""

    added: tuple[Stream, ...] = ()
    removed: tuple[str, ...] = ()
    """Names of configured ones."""


class KeptStreams:
    """The streams of the configuration `configured`, and what was changed of them since."""

    def __init__(self, configured: Config) -> None:
        """Raises ConfigError where what is kept cannot be read, or makes no graph."""
        self.configured = configured
        self.path = configured.state_dir() / "streams.json"
        kept = self._read()
        names = {stream.name for stream in configured.streams}
        removed = tuple(name for name in kept.removed if name in names)
        added = tuple(stream for stream in kept.added if stream.name not in names - set(removed))
        self.changes = Changes(added, removed)
        self.stale = self.changes != kept
        """Whether the file holds what refers to nothing."""
        self.config = self.config_with(self.changes, str(self.path))

    # -- what would be

    def adding(self, table: Mapping[str, Any], where: str) -> Changes:
        """With a stream more: `table` is as below [[streams]]. Raises ConfigError, as the file itself would."""
        if not self.configured.streams:
            raise ConfigError(f"{where}: this graph was started without streams, and so without an edge to read any")
        changes = replace(self.changes, added=(*self.changes.added, validate_as(Stream, table, where)))
        self.config_with(changes, where)
        return changes

    def removing(self, name: str, where: str) -> Changes:
        """Without that stream. Raises ConfigError where there is none, or no other."""
        streams = [stream.name for stream in self.config.streams]
        if name not in streams:
            raise ConfigError(f"{where}: there is no stream {name!r}; there are: {', '.join(streams) or 'none'}")
        if len(streams) == 1:
            raise ConfigError(
                f"{where}: {name} is the only stream, and a graph needs one: add its successor first, or stop the graph"
            )
        added = tuple(stream for stream in self.changes.added if stream.name != name)
        if added != self.changes.added:
            return replace(self.changes, added=added)
        return replace(self.changes, removed=(*self.changes.removed, name))

    def resetting(self) -> Changes:
        """As configured."""
        return Changes()

    def config_with(self, changes: Changes, where: str) -> Config:
        """The configuration after `changes`. Raises ConfigError where it would be none."""
        configured = [stream for stream in self.configured.streams if stream.name not in changes.removed]
        if self.configured.streams and not configured and not changes.added:
            raise ConfigError(
                f"{where}: every stream of this configuration was removed while its graph ran; "
                "`clownfish stream reset --config FILE` brings them back"
            )
        try:
            return replace(self.configured, streams=(*configured, *changes.added))
        except ValueError as error:
            raise ConfigError(f"{where}: {error}") from None

    # -- what is

    def listed(self, fares: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """For people: the streams of now, where each comes from, and how it fares; and what is configured and gone."""
        added = {stream.name for stream in self.changes.added}
        streams = [
            {
                "name": stream.name,
                "source": redacted(stream.source)[:_SHOWN],
                "from": "added" if stream.name in added else "configured",
                **fares.get(stream.name, _UNKNOWN),
            }
            for stream in self.config.streams
        ]
        return {"streams": streams, "removed": list(self.changes.removed)}

    def keep(self, changes: Changes) -> None:
        """From now on. Raises OSError where it cannot be written down; then all is as before."""
        config = self.config_with(changes, str(self.path))
        if changes == Changes():
            self.path.unlink(missing_ok=True)
        else:
            added = [_as_said(stream) for stream in changes.added]
            tree = {"format": _FORMAT, "added": added, "removed": list(changes.removed)}
            write_text(self.path, json.dumps(tree, indent=2, ensure_ascii=False) + "\n", mode=0o600)
        self.changes, self.config, self.stale = changes, config, False

    def _read(self) -> Changes:
        try:
            tree = json.loads(self.path.read_text(encoding="utf-8"))
            if tree["format"] != _FORMAT:
                raise ValueError(f"format {tree['format']!r}; expected {_FORMAT!r}")
            added, removed = list(tree["added"]), tuple(map(str, tree["removed"]))
        except FileNotFoundError:
            return Changes()
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"{self.path}: what was added and removed while the graph ran cannot be read ({error}); "
                "`clownfish stream reset --config FILE` forgets it, and so does removing that file"
            ) from error
        return Changes(
            tuple(validate_as(Stream, each, f"{self.path}: added.{at}") for at, each in enumerate(added)), removed
        )


def _as_said(stream: Stream) -> dict[str, Any]:
    """The stream's table without what is as by default, so that another release reads it."""
    said = {each.name: (getattr(stream, each.name), each.default) for each in fields(stream)}
    return {name: to_tree(value) for name, (value, default) in said.items() if value != default}


def forget(configured: Config) -> bool:
    """Back to the configuration, of a graph that does not run; whether there was a change. Raises ConfigError."""
    path = configured.state_dir() / "streams.json"
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise ConfigError(f"{path}: cannot be removed: {error.strerror}") from error
    return True
