"""The engine `openvino` (extra `openvino`): Intel's runtime for CPUs, x86-64 and aarch64, on one thread.

`convert_model` takes what torch.export gives; the precision of computation is a hint to `compile_model`
(docs.openvino.ai, "Optimizing for Latency" and "Precision Control").
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clownfish.errors import ModelError
from clownfish.models.engines.base import (
    Answer,
    Device,
    EngineMissing,
    Precision,
    Task,
    cpu_only,
    frames_shape,
    one_by_one,
)
from clownfish.models.engines.cache import cache_folder, cached, digest
from clownfish.models.engines.export import cannot, exported, quiet
from clownfish.models.engines.onnxfile import OURS, read_outputs

_HINTS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}
_CAPABILITIES = {"fp32": "FP32", "bf16": "BF16", "fp16": "FP16"}


class OpenVino:
    """See `base.Engine`."""

    def __init__(self, task: Task) -> None:
        self.device = cpu_only("openvino", task.device)
        self.dtype = torch.float32  # the hint is about what is computed inside
        self.runs_on = "cpu"
        ov = _openvino()
        core = ov.Core()
        if _CAPABILITIES[task.precision] not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise ModelError(f"engine 'openvino': this CPU does not compute in {task.precision}; use precision 'fp32'")
        self._own_file = task.onnx_file is not None
        model = _read(core, task.onnx_file or _converted(ov, task))
        self._outputs = OURS
        if self._own_file:
            inputs = [(each.any_name, _shape(each)) for each in model.inputs]
            self._outputs = read_outputs(task, inputs, [each.any_name for each in model.outputs])
            shape = task.description.input
            model.reshape([1, 3, shape.frames, shape.height, shape.width])
        self.weights_bytes = sum(each.data.nbytes for each in model.get_ops() if each.get_type_name() == "Constant")
        compiled = core.compile_model(
            model,
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": _HINTS[task.precision],
                "INFERENCE_NUM_THREADS": 1,
                "NUM_STREAMS": 1,
                "ENABLE_CPU_PINNING": False,  # the core it chose may be another process's
                "PERFORMANCE_HINT": "LATENCY",
            },
        )
        self._request: Any = compiled.create_infer_request()

    @staticmethod
    def precisions(device: Device) -> tuple[Precision, ...]:
        return ("fp32", "bf16")

    def run(self, x: Tensor) -> Answer:
        return one_by_one(self._run_one, x)

    def _run_one(self, x: Tensor) -> Answer:
        memory = x if self._own_file else x.permute(0, 2, 3, 4, 1)
        results = self._request.infer([memory.contiguous().numpy()], share_inputs=True)
        return self._outputs.answer([results[i] for i in range(len(results))])


def _openvino() -> Any:
    try:
        import openvino
    except ImportError as error:
        raise EngineMissing("openvino", "openvino", error) from error
    return openvino


def _converted(ov: Any, task: Task) -> Path:
    """OpenVINO's own file of the network, converted once."""
    network = task.require_network("openvino")

    def make(folder: Path) -> None:
        program = exported(network, task.description)
        with quiet():
            try:
                model = ov.convert_model(program)
            except Exception as error:  # of many kinds, by the operator that is not known
                raise cannot("converted by OpenVINO", task.description, error) from error
        model.reshape(list(frames_shape(task.description)))
        ov.save_model(model, folder / "network.xml", compress_to_fp16=False)

    return cached(f"{digest(network, task.description, ov.__version__)}-openvino", make) / "network.xml"


def _read(core: Any, path: Path) -> Any:
    try:
        return core.read_model(path)
    except RuntimeError as error:
        raise ModelError(
            f"{path}: OpenVINO cannot read it ({str(error).strip().splitlines()[-1][:200]}); a file below "
            f"{cache_folder()} may be deleted, it is made anew"
        ) from error


def _shape(port: Any) -> list[int | None]:
    return [each.get_length() if each.is_static else None for each in port.partial_shape]
