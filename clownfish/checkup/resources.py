"""Memory, processors and file descriptors, beside what the graph will take. Never a fault: slow is not broken."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import psutil

from clownfish.checkup.finding import Finding, ok, warning
from clownfish.settings import Config
from clownfish.supervisor import plan

_MB_EACH, _MB_MODEL = 60, 350
"""Resident memory of a process, and of one with torch in it, about."""
_MODELS = ("local", "worker")
_LEAST_FILES, _LEAST_FILES_ROUTER = 1024, 4096
_CPUS = Path("/sys/devices/system/cpu")
_SCALES_ITSELF = ("intel_pstate", "amd-pstate-epp")
"""Drivers whose `powersave` goes to full speed under load."""


def resources(config: Config | None, running: bool) -> list[Finding]:
    """Warnings where this machine is small for that graph."""
    return [*_processors(config), _memory(config, running), _files(config)]


def _processors(config: Config | None) -> list[Finding]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    services = [spec.service for spec in plan(config)] if config is not None else []
    busy = sum(service in _MODELS for service in services)
    found = []
    if busy > cores:
        said = f"{cores} cores, and {busy} processes that run a model"
        found.append(warning("processor", said, "fewer workers or streams here, or a GPU, or the cloud elsewhere"))
    slow = []
    for policy in sorted(_CPUS.glob("cpufreq/policy*")):
        governor, driver = _text(policy / "scaling_governor"), _text(policy / "scaling_driver")
        if governor == "powersave" and driver not in _SCALES_ITSELF:
            slow.append(policy.name)
    if slow:
        said = f"kept at its lowest clock (governor `powersave`, {', '.join(slow)})"
        found.append(warning("processor", said, "`cpupower frequency-set -g performance`; on a Jetson `jetson_clocks`"))
    return found or [ok("processor", f"{cores} cores" + (f"; processes that run a model: {busy}" if busy else ""))]


def _memory(config: Config | None, running: bool) -> Finding:
    free = psutil.virtual_memory().available / 1e6
    services = [spec.service for spec in plan(config)] if config is not None and not running else []
    need = sum(_MB_MODEL if service in _MODELS else _MB_EACH for service in services)
    said = f"{free:.0f} MB available" + (f", about {need} needed" if need else "")
    if free < max(need, 200):
        return warning("memory", said, "end other programs, or run fewer workers here: else the kernel ends some")
    return ok("memory", said)


def _files(config: Config | None) -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    router = config is not None and config.router is not None and config.router.control.startswith("tcp://")
    least = _LEAST_FILES_ROUTER if router else _LEAST_FILES
    if soft != resource.RLIM_INFINITY and soft < least:
        said = f"{soft} at once (up to {hard}); {least} are wanted" + (" where edges connect" if router else "")
        return warning("open files", said, f"`ulimit -n {least}`, or LimitNOFILE={least} in the systemd unit")
    return ok("open files", f"{'any number' if soft == resource.RLIM_INFINITY else soft} at once")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
