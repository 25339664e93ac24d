"""What was compiled once lies on disk: one folder for each network, runtime and precision (layer 1).

Folders are named by a digest of all that goes in: the weights, the network's code, the shape, the versions. So they are
never wrong, only superfluous; any may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

from clownfish.errors import ModelError
from clownfish.models.adapter import Network
from clownfish.models.description import ModelDescription


def cache_folder() -> Path:
    """`CLOWNFISH_CACHE`, else the user's folder for such things (XDG), else one in the folder for temporary files."""
    given = os.environ.get("CLOWNFISH_CACHE")
    if given:
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "clownfish"
    except RuntimeError:  # a service's user may have no home
        return Path(tempfile.gettempdir()) / f"clownfish-cache-{os.getuid()}"


def digest(network: Network, description: ModelDescription, *more: str) -> str:
    """Sixteen hex digits of weights, architecture, the source of its modules, input shape, torch, and `more`."""
    told = [description.architecture, description.options, len(description.classes), torch.__version__, *more]
    shape = description.input
    found = hashlib.sha256(json.dumps([*told, shape.frames, shape.height, shape.width], sort_keys=True).encode())
    for module in sorted({type(each).__module__ for each in network.modules()}):
        file = getattr(sys.modules[module], "__file__", None)
        if not module.startswith("torch.") and file is not None:
            found.update(Path(file).read_bytes())
    for name, tensor in sorted(network.state_dict().items()):
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        found.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()[:16]


def cached(name: str, make: Callable[[Path], None]) -> Path:
    """The folder `name` of the cache; where there is none, `make` fills one, which is there whole or not at all.

    Raises ModelError where the cache cannot be written.
    """
    folder = cache_folder() / name
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=folder.parent))
    except OSError as error:
        raise ModelError(
            f"{folder.parent}: compiled models cannot be kept there ({error.strerror}); name another folder in the "
            "environment variable CLOWNFISH_CACHE"
        ) from error
    try:
        make(part)
        try:
            part.rename(folder)
        except OSError:
            if not folder.is_dir():  # another process may have been faster
                raise
        return folder
    finally:
        shutil.rmtree(part, ignore_errors=True)
