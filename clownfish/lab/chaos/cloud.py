"""The cloud that the edges meet: a router behind keys and its workers, supervised as `clownfish up` does it."""

from __future__ import annotations

import contextlib
import signal
from itertools import islice
from pathlib import Path
from typing import Any

from clownfish.bus import Credentials, new_pair
from clownfish.config import validate
from clownfish.keys import Key, Role, write_key
from clownfish.lab.chaos.edge import SIZE, Footage
from clownfish.lab.chaos.paced import NETWORK
from clownfish.lab.free_port import free_endpoints
from clownfish.opencv import resized
from clownfish.sources import open_source
from clownfish.supervisor import Supervisor

_MODEL = "clownfish.lab.chaos.paced:PacedModel"
_FRAMES, _WIDTH, _HEIGHT = 64, 64, 48


class Cloud:
    """`folder` is for this cloud alone. Every socket is on TCP, on ports that nobody has."""

    def __init__(self, folder: Path, workers: int, **router: Any) -> None:
        self._keys = folder / "keys"
        self._own = Key("router", *new_pair())
        write_key(self._keys / "router.key", self._own)
        self.endpoints = free_endpoints(3)
        control, data, to_workers = self.endpoints
        gpu = self.device("gpu", "worker").own
        tree = {
            "graph": {"name": "cloud", "run_dir": str(folder / "run")},
            "log": {"format": "json", "level": "warning"},
            "router": {"control": control, "data": data, "workers": to_workers, "keys": str(self._keys), **router},
            "worker": {
                **{"router": to_workers, "model": _MODEL, "device": "cpu", "count": workers},
                **{"key": str(self._secret(gpu.name)), "router_key": self._own.public},
            },
        }
        logs = folder / "logs"
        logs.mkdir()
        self.supervisor = Supervisor(validate(tree, "cloud"), logs)

    def device(self, name: str, role: Role = "edge", authorized: bool = True) -> Credentials:
        """A device with a key of its own."""
        key = Key(name, *new_pair(), role=role)
        write_key(self._secret(name), key)
        if authorized:
            write_key(self._keys / "authorized" / f"{name}.pub", Key(name, key.public, role=role))
        return Credentials(key, self._own.public)

    def uplink(self, name: str, control: str, data: str) -> dict[str, Any]:
        """The section of an edge that is authorized here and reaches the router at these endpoints."""
        self.device(name)
        return {"control": control, "data": data, "key": str(self._secret(name)), "router_key": self._own.public}

    def kill(self, process: str) -> bool:
        """kill -9; False where it is dead already."""
        running = self.supervisor.children[process].process
        if running is None or running.returncode is not None:
            return False
        running.send_signal(signal.SIGKILL)
        return True

    def _secret(self, name: str) -> Path:
        return self._keys / "devices" / f"{name}.key"


def footage() -> Footage:
    """Drawn frames that are played round and round, and the model's answers for them."""
    from clownfish.models.load import load_model  # torch

    with contextlib.closing(open_source("shapes:test/0")) as source:
        frames = tuple(resized(pixels, _WIDTH, _HEIGHT) for pixels in islice(source, _FRAMES))
    model = load_model(NETWORK, "cpu")
    windows = [[frames[(first + n) % _FRAMES] for n in range(SIZE)] for first in range(_FRAMES)]
    return Footage(frames, tuple(model.infer([window]).p[0] for window in windows))
