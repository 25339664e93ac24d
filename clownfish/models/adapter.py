"""From a network behind an engine to `WindowModel`: resize, normalise, embed, classify, calibrate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from clownfish.errors import ModelError
from clownfish.messages import Pixels
from clownfish.models.base import Inference
from clownfish.models.description import InputDescription, ModelDescription
from clownfish.models.frame_features import FrameFeatures, SeesFrames
from clownfish.models.resize import resize

if TYPE_CHECKING:
    from clownfish.models.engines.base import Engine

    class Network(nn.Module):
        """What every architecture offers beside being a torch module."""

        embed: Callable[[Tensor], Tensor]
        head: Callable[[Tensor], Tensor]
else:
    Network = nn.Module


def pick_frames(window: Sequence[Pixels], description: InputDescription) -> npt.NDArray[np.uint8]:
    """The frames that the network sees, resized: shape (frames, height, width, 3) uint8.

    Raises ModelError where the window has another number of frames than the description says.
    """
    return np.stack([resize(frame, description) for frame in seen_frames(window, description)])


def seen_frames(window: Sequence[Pixels], description: InputDescription) -> Sequence[Pixels]:
    """Likewise, as they came: of whatever size."""
    if len(window) != description.window_size:
        raise ModelError(f"a window of {len(window)} frames came, the model takes {description.window_size}")
    return window[description.frame_step - 1 :: description.frame_step]


def normalise(frames: Tensor, description: InputDescription, dtype: torch.dtype = torch.float32) -> Tensor:
    """(…, height, width, 3) of 0 … 255 → the same shape, (value − mean) / std."""
    mean = torch.tensor(description.mean, device=frames.device)
    scale = 1 / torch.tensor(description.std, device=frames.device)
    return ((frames.to(torch.float32) - mean) * scale).to(dtype)


def describe_feature(embedding: Tensor, logits: Tensor, description: ModelDescription) -> Tensor:
    """What `Inference.feature` holds: the logits, or the embedding scaled to unit length, (batch, features)."""
    return logits if description.feature == "logits" else nn.functional.normalize(embedding, dim=1)


def network_input(
    windows: Sequence[Sequence[Pixels]], description: InputDescription, device: torch.device, dtype: torch.dtype
) -> Tensor:
    """What the network takes of some windows: (batch, 3, frames, height, width), normalised, stored channels last."""
    frames = torch.from_numpy(np.stack([pick_frames(window, description) for window in windows]))
    return normalise(frames.to(device), description, dtype).permute(0, 4, 1, 2, 3)


class Classifier:
    """A `WindowModel` over an engine."""

    def __init__(self, engine: Engine, description: ModelDescription) -> None:
        self.name = description.name
        self.classes = description.classes
        self.window_size = description.input.window_size
        self.description = description
        self.engine = engine
        network = getattr(engine, "frame_by_frame", None)
        self._by_frame: SeesFrames | None = network
        self.frame_features = FrameFeatures(self._features) if network is not None else None
        """Where the network sees frames one by one: what it made of those that windows share."""

    def infer(self, windows: Sequence[Sequence[Pixels]]) -> Inference:
        """See `WindowModel.infer`."""
        with torch.inference_mode():
            embedding, logits = self._answer(windows)
            logits = logits.float()
            p = torch.softmax(logits / self.description.temperature, dim=1)
            feature = describe_feature(embedding.float(), logits, self.description)
            return Inference(p=p.cpu().numpy(), feature=feature.cpu().numpy())

    def _answer(self, windows: Sequence[Sequence[Pixels]]) -> tuple[Tensor, Tensor]:
        shape, engine = self.description.input, self.engine
        if self._by_frame is None or self.frame_features is None:
            return engine.run(network_input(windows, shape, engine.device, engine.dtype))
        known = self.frame_features.of([seen_frames(window, shape) for window in windows])
        embedding = self._by_frame.temporal(torch.from_numpy(known).to(engine.device, engine.dtype))
        return embedding, self._by_frame.head(embedding)

    def _features(self, frames: Sequence[Pixels]) -> npt.NDArray[np.float32]:
        assert self._by_frame is not None
        shape, engine = self.description.input, self.engine
        pixels = torch.from_numpy(np.stack([resize(frame, shape) for frame in frames]))
        x = normalise(pixels.to(engine.device), shape, engine.dtype).permute(0, 3, 1, 2)
        return self._by_frame.frame_features(x).float().cpu().numpy()
