"""The engine `torch-int8`: convolutions in 8-bit integers on an x86 CPU, their ranges fixed on real windows.

Post-training static quantisation of torch.ao (FX graph mode): from the first convolution on, what lies between
convolutions stays int8. What comes before it, the pooling to the embedding and the linear head stay fp32, where
integers would save little and cost the answers' resolution.

torch calls torch.ao deprecated in favour of torchao's PT2E, whose graphs a C++ compiler lowers on the user's machine;
while torch has it, this is the way that needs none. Its warnings are silenced here, and only here; where it is gone,
the error says so.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from clownfish.errors import ModelError
from clownfish.models.adapter import Network
from clownfish.models.engines.base import Answer, Device, Precision, Task, cpu_only, one_by_one
from clownfish.models.engines.export import cannot, quiet
from clownfish.models.engines.tracing import convolutions_as_modules, flat_graph, parted


class StaticInt8:
    """See `base.Engine`."""

    def __init__(self, task: Task) -> None:
        self.device = cpu_only("torch-int8", task.device)
        self.dtype = torch.float32
        self.runs_on = "cpu"
        network = task.require_network("torch-int8")
        if task.precision != "fp32":
            raise ModelError(f"engine 'torch-int8' computes in int8; precision {task.precision!r} does not go with it")
        if task.calibration is None:
            raise ModelError(
                "engine 'torch-int8' fixes its ranges on real windows, and none are named: set `calibration` to a "
                "video of what the camera sees, or to a drawn source such as puppets:train/0"
            )
        shape = task.description.input
        example = torch.zeros(1, shape.frames, shape.height, shape.width, 3).permute(0, 4, 1, 2, 3)
        with quiet():
            try:
                self._network = quantised(_Both(network), example, task.calibration)
                with torch.inference_mode():
                    self._network(example)  # so that what it warns of is said here, and silenced
            except ModelError:
                raise
            except Exception as error:  # tracing and torch.ao run the network's own code
                raise cannot("quantised", task.description, error) from error
            buffer = io.BytesIO()
            torch.save(self._network.state_dict(), buffer)
        self.weights_bytes = buffer.tell()

    @staticmethod
    def precisions(device: Device) -> tuple[Precision, ...]:
        return ("fp32",)

    def run(self, x: Tensor) -> Answer:
        return one_by_one(self._network, x)


class _Both(nn.Module):
    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.eval()

    def forward(self, x: Tensor) -> Answer:
        embedding = self.network.embed(x)
        return embedding, self.network.head(embedding)


def quantised(network: nn.Module, example: Tensor, calibration: Callable[[], Iterator[Tensor]]) -> nn.Module:
    """`network` for inputs of the example's shape, its ranges those of what `calibration` gives. Raises ModelError
    where that gives nothing, or this torch cannot quantise."""
    try:
        from torch.ao.quantization import get_default_qconfig_mapping
        from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx
    except ImportError as error:
        raise ModelError(
            f"engine 'torch-int8' needs torch.ao.quantization, which torch {torch.__version__} has no more; use engine "
            "'openvino' or 'onnxruntime', or an older torch"
        ) from error
    flat = flat_graph(network, example)
    convolutions_as_modules(flat)
    whole: Any = parted(flat)
    with _backend() as backend:
        inputs: list[Any] = []
        hook = whole.submod_1.register_forward_pre_hook(lambda module, given: inputs.append(given))
        with torch.no_grad():
            whole(example)
            hook.remove()
            whole.submod_1 = prepare_fx(whole.submod_1, get_default_qconfig_mapping(backend), inputs[0])
            seen = 0
            for x in calibration():
                whole(x)
                seen += 1
            if not seen:
                raise ModelError("engine 'torch-int8': the source named as `calibration` gave not one window")
            whole.submod_1 = convert_fx(whole.submod_1)
    quantised_network: nn.Module = whole
    return quantised_network


@contextlib.contextmanager
def _backend() -> Iterator[str]:
    """torch's backend for int8, chosen while weights are packed.

    oneDNN was 1.1 to 4 times as fast as torch's default and nearer to fp32; but without VNNI its sums may overflow, and
    the default, which then gives up a bit, is right.
    """
    vnni = getattr(torch.cpu, "_is_vnni_supported", lambda: False)()
    backend = "onednn" if vnni else "x86"
    if backend not in torch.backends.quantized.supported_engines:
        raise ModelError("engine 'torch-int8' needs torch for x86 CPUs; use engine 'onnxruntime' or 'openvino' here")
    before = torch.backends.quantized.engine
    torch.backends.quantized.engine = backend
    try:
        yield backend
    finally:
        torch.backends.quantized.engine = before
