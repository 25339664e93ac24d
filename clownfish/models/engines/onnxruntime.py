"""The engine `onnxruntime` (extra `onnx`): the way to TensorRT on a Jetson, and fast on CPUs.

Of the execution providers TensorRT, CUDA and CPU the first that works is used, the others stand behind it for what it
does not know (onnxruntime.ai/docs/execution-providers). A network is exported once; TensorRT keeps what it built beside
the export, which spares minutes at the next start.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clownfish.errors import ModelError
from clownfish.models.engines.base import DTYPES, Answer, Device, EngineMissing, Precision, Task, one_by_one
from clownfish.models.engines.cache import cache_folder, cached, digest, or_without
from clownfish.models.engines.export import write_onnx
from clownfish.models.engines.onnxfile import OURS, read_outputs

TENSORRT, CUDA, CPU = "TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"
_RUNS_ON = {TENSORRT: "TensorRT", CUDA: "cuda", CPU: "cpu"}


class OnnxRuntime:
    """See `base.Engine`."""

    def __init__(self, task: Task) -> None:
        ort = _onnxruntime()
        self.device = torch.device("cpu")  # inputs; the runtime copies them to where it computes
        own = task.onnx_file is not None
        reasons = []
        for name, others in pick_providers(ort.get_available_providers(), task.device, task.precision, own):
            # fp16 is TensorRT's own option over an fp32 graph; CUDA computes in what the graph says
            self.dtype = DTYPES["fp32" if own or name == TENSORRT else task.precision]
            path = task.onnx_file or _exported(task, self.dtype)
            try:
                make = partial(_session, ort, path, [name, *others], task.precision)
                session = or_without(_tensorrt_folder(), make) if name == TENSORRT else make()
            except Exception as error:  # onnxruntime's own kinds, which it does not export
                reasons.append(f"{_RUNS_ON[name]}: {str(error).strip().splitlines()[0][:200]}")
                continue
            if session.get_providers()[0] == name:
                break
            reasons.append(f"{_RUNS_ON[name]}: its libraries cannot be loaded here")
        else:
            raise ModelError(
                f"model {task.description.name!r}: onnxruntime cannot run it ({'; '.join(reasons)}); a file below "
                f"{cache_folder()} may be deleted, it is made anew"
            )
        self._session: Any = session
        self.runs_on = _RUNS_ON[name]
        self.weights_bytes = path.stat().st_size
        self._outputs = OURS
        self._own_file = own
        inputs = [(each.name, each.shape) for each in session.get_inputs()]
        if own:
            self._outputs = read_outputs(task, inputs, [each.name for each in session.get_outputs()])
        self._input = inputs[0][0]

    @staticmethod
    def precisions(device: Device) -> tuple[Precision, ...]:
        try:
            gpu = device != "cpu" and not {TENSORRT, CUDA}.isdisjoint(_onnxruntime().get_available_providers())
        except EngineMissing:
            gpu = False
        return ("fp32", "fp16") if gpu else ("fp32",)

    def run(self, x: Tensor) -> Answer:
        return one_by_one(self._run_one, x)

    def _run_one(self, x: Tensor) -> Answer:
        memory = x if self._own_file else x.permute(0, 2, 3, 4, 1)
        return self._outputs.answer(self._session.run(None, {self._input: memory.contiguous().numpy()}))


def pick_providers(
    available: list[str], device: Device, precision: Precision, own_file: bool = False
) -> list[tuple[str, list[str]]]:
    """The execution providers to try, best first, each with those behind it for what it does not know.

    Raises ModelError where none of them does what is asked for.
    """
    wanted: tuple[str, ...] = {"cpu": (CPU,), "cuda": (TENSORRT, CUDA), "auto": (TENSORRT, CUDA, CPU)}[device]
    if precision != "fp32":
        # a user's file says itself what CUDA computes in, and a CPU would turn fp16 back into fp32
        halves = () if precision == "bf16" else (TENSORRT,) if own_file else (TENSORRT, CUDA)
        wanted = tuple(name for name in wanted if name in halves)
    found = [name for name in wanted if name in available]
    if not found:
        needs = ", ".join(_RUNS_ON[name] for name in wanted)
        raise ModelError(
            f"engine 'onnxruntime', device {device!r}, precision {precision!r}: "
            + (
                f"needs {needs}; this onnxruntime has {', '.join(available)}: install onnxruntime-gpu in its place (on "
                "a Jetson: NVIDIA's build), or use device 'cpu' with precision 'fp32'"
                if wanted
                else "does not compute in that; use precision 'fp32'"
            )
        )
    behind = {TENSORRT: (CUDA, CPU), CUDA: (CPU,), CPU: ()}
    return [(name, [each for each in behind[name] if each in available]) for name in found]


def provider_options(name: str, precision: Precision, folder: Path) -> dict[str, Any]:
    """Of one execution provider; `folder` is where TensorRT keeps what it builds."""
    if name == TENSORRT:
        return {
            "device_id": 0,
            "trt_fp16_enable": precision == "fp16",
            "trt_engine_cache_enable": True,
            "trt_engine_cache_path": str(folder),
            "trt_timing_cache_enable": True,
            "trt_timing_cache_path": str(folder),
        }
    return {"device_id": 0} if name == CUDA else {}


def _tensorrt_folder() -> Path:
    return cache_folder() / "tensorrt"


def _session(ort: Any, path: Path, names: list[str], precision: Precision) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3  # errors
    folder = _tensorrt_folder()
    if TENSORRT in names:
        folder.mkdir(parents=True, exist_ok=True)
    providers = [(name, provider_options(name, precision, folder)) for name in names]
    # onnxruntime's own fallback would print and go on with another provider, at load and at any later call
    session = ort.InferenceSession(str(path), options, providers=providers, enable_fallback=0)
    session.disable_fallback()
    return session


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise EngineMissing("onnxruntime", "onnx", error) from error
    return onnxruntime


def _exported(task: Task, dtype: torch.dtype) -> Path:
    """The network's ONNX file, exported once. In another type than fp32 the network is changed to it."""
    network = task.require_network("onnxruntime")
    name = digest(network, task.description, str(dtype))

    def make(folder: Path) -> None:
        try:
            write_onnx(folder / "network.onnx", network.to(dtype), task.description, dtype)
        except ImportError as error:
            raise EngineMissing("onnxruntime", "onnx", error) from error

    return cached(f"{name}-onnx", make) / "network.onnx"
