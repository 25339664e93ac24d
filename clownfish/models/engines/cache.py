"""What was compiled once lies on disk: one folder for each network, runtime and precision (layer 1).

Folders are named by a digest of all that goes in: the weights, the network's code, the shape, the versions. So they are
never wrong, only superfluous; any may be deleted at any time. What a cut of power left of one does not have the sums
that were written beside it, and is made anew: else a box that lost power just after its first start would never start.
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
from typing import TypeVar

import torch

from clownfish.errors import ModelError
from clownfish.models.adapter import Network
from clownfish.models.description import ModelDescription

T = TypeVar("T")

_SUMS = "sums.json"


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
    """The folder `name` of the cache; where there is none that is whole, `make` fills one.

    Raises ModelError where the cache cannot be written.
    """
    folder = cache_folder() / name
    if _is_whole(folder):
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
        _seal(part)
        try:
            part.rename(folder)
        except OSError:
            if not _is_whole(folder):  # another process may have been faster
                shutil.rmtree(folder)
                part.rename(folder)
        return folder
    finally:
        shutil.rmtree(part, ignore_errors=True)


def or_without(kept: Path, make: Callable[[], T]) -> T:
    """What `make` gives; where it fails, what it gives without the files in `kept`, a folder that a runtime fills and
    we cannot vouch for. onnxruntime fails on a TensorRT engine that a cut of power has torn, and builds none anew.
    """
    try:
        return make()
    except Exception:  # a runtime's own kinds
        if not kept.is_dir() or not any(kept.iterdir()):
            raise
    shutil.rmtree(kept)
    return make()


def _sums(folder: Path) -> dict[str, str]:
    """Name → digest of each file of a folder."""
    files = (path for path in sorted(folder.iterdir()) if path.name != _SUMS)
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _seal(folder: Path) -> None:
    """Write the sums beside the files, and force all to the disk."""
    (folder / _SUMS).write_text(json.dumps(_sums(folder)), encoding="utf-8")
    for path in (*folder.iterdir(), folder):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _is_whole(folder: Path) -> bool:
    try:
        told = json.loads((folder / _SUMS).read_text(encoding="utf-8"))
        return bool(told == _sums(folder))
    except (OSError, ValueError):
        return False
