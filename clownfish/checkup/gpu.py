"""The GPU: whether one is here, whether torch can use it, and whether the configuration wants it."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from clownfish.checkup.finding import Finding, end, fault, ok, warning
from clownfish.settings import Config
from clownfish.within import within

_TEGRA = Path("/etc/nv_tegra_release")
_NODES = ("/dev/nvidia0", "/dev/nvhost-gpu", "/dev/nvgpu/igpu0/ctrl")
_ASK = "from clownfish.models.load import pick_device; pick_device('cuda')"
_JETSON = "install NVIDIA's own build of torch for this JetPack: PyPI's has no CUDA for a Jetson"
_PC = "check `nvidia-smi`, and that torch was installed with CUDA (pytorch.org says how)"


def seen_gpu() -> str:
    """What of NVIDIA's is in this machine: `Jetson`, `GPU`, or nothing. A container may hide it."""
    if _TEGRA.exists():
        return "Jetson"
    return "GPU" if any(Path(node).exists() for node in _NODES) else ""


async def gpu(config: Config | None, patience_s: float, seen: str | None = None) -> list[Finding]:
    """torch is asked in a child, and only where there is a reason: a broken driver hangs, and torch takes seconds."""
    here = seen_gpu() if seen is None else seen
    sections = [] if config is None else [("local", config.local), ("worker", config.worker)]
    devices = {name: section.device for name, section in sections if section is not None}
    wanting = [name for name, device in devices.items() if device == "cuda"]
    if not wanting and (not here or all(device == "cpu" for device in devices.values())):
        return [ok("gpu", f"{'a ' + here + ', not used' if here else 'none here'}: the processor computes")]
    works = await _torch_finds_it(patience_s)
    if works:
        return [ok("gpu", f"torch finds it ({here or 'CUDA device'})")]
    said = f"torch finds no CUDA device{' on this ' + here if here else ''}"
    remedy = _JETSON if here == "Jetson" else _PC
    if wanting:
        return [
            fault("gpu", f"{said}; [{wanting[0]}] device = 'cuda' asks for one", f"{remedy}; or say device = 'auto'")
        ]
    return [warning("gpu", f"{said}: the processor computes, many times slower", remedy)]


async def _torch_finds_it(patience_s: float) -> bool:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _ASK, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        return await within(child.wait(), patience_s) == 0
    except asyncio.TimeoutError:
        return False
    finally:
        await end(child)
