"""What a training run leaves after each epoch, so that it goes on from there bit by bit as if it had not stopped.

Each epoch seeds its random numbers from (seed, epoch), so that weights, optimiser and what was measured so far are the
whole state.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from clownfish.atomic import write_whole
from clownfish.errors import ModelError

FORMAT = "clownfish-checkpoint/1"
FREE = {"output", "runs", "device", "tensorboard", "workers", "processes", "cache"}
"""Keys of a configuration that say where and with what a run works, not what comes out."""


class Checkpoint:
    """The file in a run's folder.

    `identity` is what a run must not change between its parts (network, classes, input); `recipe` what it may, but
    which then says so.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any], recipe: Mapping[str, Any]) -> None:
        self.path = folder / "checkpoint.pt"
        self._identity = _plain(identity)
        self._recipe = _plain(recipe)

    def exists(self) -> bool:
        return self.path.exists()

    def save(self, epoch: int, **state: Any) -> None:
        """After `epoch` epochs. A process killed while it writes leaves the checkpoint before."""
        about = {"format": FORMAT, "identity": json.dumps(self._identity), "recipe": json.dumps(self._recipe)}
        write_whole(self.path, lambda file: torch.save({**about, "epoch": epoch, **state}, file))

    def load(self, say: Callable[[str], None]) -> dict[str, Any] | None:
        """The newest state, None where there is none. Raises ModelError where it is damaged or another run's."""
        if not self.exists():
            return None
        try:
            state: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)
            if state.get("format") != FORMAT:
                raise ModelError(
                    f"{self.path}: its format is {state.get('format')!r}, expected {FORMAT!r}; delete it to start over"
                )
            identity, recipe = json.loads(state["identity"]), json.loads(state["recipe"])
        except (RuntimeError, OSError, EOFError, KeyError, ValueError, AttributeError, pickle.UnpicklingError) as error:
            first = str(error).partition("\n")[0]
            raise ModelError(f"{self.path}: is not a whole checkpoint ({first}); delete it to start over") from error
        for key, value in self._identity.items():
            if identity.get(key) != value:
                raise ModelError(
                    f"{self.path}: does not fit this configuration: made with {key} {_shown(identity.get(key))}, here "
                    f"it is {_shown(value)}; delete it (or --fresh) to start over, or give the run another name"
                )
        was, now = _flat(recipe), _flat(self._recipe)
        for key in sorted(was.keys() | now.keys()):
            if was.get(key) != now.get(key):
                say(f"changed since the checkpoint: {key} was {was.get(key)}, is {now.get(key)}")
        if state["epoch"]:
            say(f"going on after epoch {state['epoch']} ({self.path})")
        return state

    @contextmanager
    def restoring(self) -> Iterator[None]:
        """What torch finds wrong with a state becomes a ModelError that names the file."""
        try:
            yield
        except (RuntimeError, KeyError, ValueError, TypeError) as error:
            first = " ".join(str(error).split())[:200]
            raise ModelError(
                f"{self.path}: does not fit this configuration ({first}); delete it (or --fresh) to start over"
            ) from error


def forget(folder: Path) -> None:
    """Delete a run's checkpoints, so that it starts over."""
    for path in folder.rglob("checkpoint.pt"):
        path.unlink()


def _plain(tree: Mapping[str, Any]) -> Any:
    """As JSON reads it back: tuples as lists."""
    return json.loads(json.dumps(tree, default=str))


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Dotted key → value as JSON, without the FREE keys."""
    found: dict[str, str] = {}
    for key, value in tree.items():
        if key in FREE:
            continue
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = json.dumps(value)
    return found


def _shown(value: Any) -> str:
    if isinstance(value, list) and len(value) > 4:
        return f"{len(value)} of them"
    return json.dumps(value)
