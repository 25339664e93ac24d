"""The GPU: whether one is here, whether the engine can use it, and whether the configuration wants it."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from clownfish.checkup.finding import Finding, end, fault, ok, warning
from clownfish.settings import Config
from clownfish.within import within

_TEGRA = Path("/etc/nv_tegra_release")
_NODES = ("/dev/nvidia0", "/dev/nvhost-gpu", "/dev/nvgpu/igpu0/ctrl")
_ASK = {
    "torch": "from clownfish.models.load import pick_device; pick_device('cuda')",
    "onnxruntime": "import onnxruntime; from clownfish.models.engines.onnxruntime import pick_providers; "
    "pick_providers(onnxruntime.get_available_providers(), 'cuda', 'fp32')",
}
"""Of the engines that use CUDA: whether this build of them can. With TensorRT torch only exports, and may have none."""
_JETSON = "install NVIDIA's own build of {engine} for this JetPack (docs/jetson.md): PyPI's has no CUDA for a Jetson"
_PC = "check `nvidia-smi`, and that {engine} was installed with CUDA (onnxruntime-gpu; pytorch.org says how for torch)"


def seen_gpu() -> str:
    """What of NVIDIA's is in this machine: `Jetson`, `GPU`, or nothing. A container may hide it."""
    if _TEGRA.exists():
        return "Jetson"
    return "GPU" if any(Path(node).exists() for node in _NODES) else ""


async def gpu(config: Config | None, patience_s: float, seen: str | None = None) -> list[Finding]:
    """Engines are asked in a child, and only where there is a reason: a broken driver hangs, torch takes seconds."""
    here = seen_gpu() if seen is None else seen
    sections = [] if config is None else [("local", config.local), ("worker", config.worker)]
    devices = {name: section.device for name, section in sections if section is not None}
    wanting = [name for name, device in devices.items() if device == "cuda"]
    if not wanting and (not here or all(device == "cpu" for device in devices.values())):
        return [ok("gpu", f"{'a ' + here + ', not used' if here else 'none here'}: the processor computes")]
    engines = {section.engine for _, section in sections if section is not None and section.device != "cpu"}
    asked = sorted(engines & _ASK.keys() if engines else {"torch"})
    if not asked:
        return [
            ok("gpu", f"{'a ' + here if here else 'none'}, not used: {', '.join(sorted(engines))} computes without")
        ]
    for engine in asked:
        if not await _finds_it(engine, patience_s / len(asked)):
            break
    else:
        return [ok("gpu", f"{' and '.join(asked)} can use it ({here or 'CUDA device'})")]
    said = f"{engine} finds no CUDA device{' on this ' + here if here else ''}"
    remedy = (_JETSON if here == "Jetson" else _PC).format(engine=engine)
    if wanting:
        return [
            fault("gpu", f"{said}; [{wanting[0]}] device = 'cuda' asks for one", f"{remedy}; or say device = 'auto'")
        ]
    return [warning("gpu", f"{said}: the processor computes, many times slower", remedy)]


async def _finds_it(engine: str, patience_s: float) -> bool:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _ASK[engine], stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        return await within(child.wait(), patience_s) == 0
    except asyncio.TimeoutError:
        return False
    finally:
        await end(child)
