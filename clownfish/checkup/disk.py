"""Folders that the graph writes: whether it may, whether there is room, and the run folder's own rules."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from clownfish.checkup.finding import Finding, fault, ok, warning
from clownfish.errors import ClownfishError
from clownfish.settings import Config

_LEAST, _LITTLE = 16e6, 500e6
"""Bytes free: below the first nothing works for long, below the second a day's answers may not fit."""
_PROBE = bytes(64 * 1024)


def folders(config: Config) -> dict[str, tuple[Path, float]]:
    """What is written → the folder where, and how many bytes of room are told to be used there."""
    state = config.state_dir()
    found: dict[str, tuple[Path, float]] = {}
    if config.record is not None and config.streams:
        found["record"] = (Path(config.record.folder), 0.0)
    adaptive = config.uplink.adaptive if config.uplink is not None else None
    if adaptive is not None and adaptive.gb_month is not None:
        found["the month's count"] = (state, 0.0)
    for sink in config.sinks if config.streams else ():
        options, kind = sink.sink.options, sink.sink.kind
        if isinstance(path := options.get("path"), str):
            found[f"sink {sink.name}"] = (Path(path).parent, 0.0)
        if isinstance(folder := options.get("folder"), str):
            found[f"sink {sink.name}"] = (Path(folder), 0.0)
        if kind in ("mqtt", "kafka", "webhook"):
            spool = options.get("spool") or state / "spool" / sink.name
            found[f"spool of sink {sink.name}"] = (Path(str(spool)), 1e6 * float(options.get("spool_mb", 0)))
        elif sink.what == "events":
            found[f"events of sink {sink.name}"] = (state / "events" / sink.name, 0.0)
    return found


def disk(what: str, folder: Path, room: float) -> Finding:
    """Whether a folder, which need not be there yet, can be made and written, with room for so many bytes."""
    name, at = f"disk {what}", folder.absolute()
    try:
        while not at.exists():
            at = at.parent
        with tempfile.TemporaryFile(dir=at) as file:
            file.write(_PROBE)
            file.flush()
            os.fsync(file.fileno())
        free = shutil.disk_usage(at).free
    except OSError as error:
        said = f"{folder} cannot be written: {error.strerror or error}"
        advice = f"`df -h {at}` and `ls -ld {at}`: make room there, give this user the folder, or name another"
        return fault(name, said, advice)
    words = f"{folder}: {free / 1e9:.1f} GB free"
    if free < _LEAST:
        return fault(name, f"{folder} is full: {free / 1e6:.1f} MB free", f"make room (`df -h {at}`), or name another")
    if free < room:
        return warning(name, f"{words}, but {room / 1e9:.1f} GB may be spooled there", "make room, or lower spool_mb")
    if free < _LITTLE:
        return warning(name, words, "make room, or let the sink keep less (max_mb, keep, keep_days)")
    return ok(name, words)


def disks(config: Config) -> list[Finding]:
    """All of them."""
    return [disk(what, folder, room) for what, (folder, room) in folders(config).items()]


def run_folder(config: Config) -> list[Finding]:
    """The run folder: short enough for sockets, this user's alone, on a disk that can be written."""
    folder, name = config.run_dir(), "disk run folder"
    longest = ["fusion-remote", *(f"sink-{sink.name}" for sink in config.sinks)]
    try:
        for each in longest:
            config.ipc(each)
    except ClownfishError as error:
        return [fault(name, str(error), "set graph.run_dir to a short path, as /run/clownfish")]
    if folder.exists():
        status = folder.stat()
        if status.st_uid != os.getuid() or status.st_mode & 0o077:
            said = f"{folder} belongs to user {status.st_uid} with mode {status.st_mode & 0o777:o}; others may speak in"
            return [fault(name, said, f"chmod 700 {folder}, as its owner; or set graph.run_dir to a folder of yours")]
    found = disk("run folder", folder, 0.0)
    if found.state == "warning":  # sockets and counters are small, and /run is
        return [ok(name, found.said)]
    return [found]
