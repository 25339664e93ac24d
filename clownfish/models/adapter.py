"""From a torch network to `WindowModel`: resize, normalise, embed, classify, calibrate."""

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
from clownfish.models.frame_features import FrameFeatures, sees_frames
from clownfish.models.resize import resize

if TYPE_CHECKING:

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


class TorchClassifier:
    """A `WindowModel` over a network that is already on its device, in its precision and in eval mode."""

    def __init__(
        self, network: Network, description: ModelDescription, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.name = description.name
        self.classes = description.classes
        self.window_size = description.input.window_size
        self.description = description
        self.device = device
        self._network = network
        self._dtype = dtype
        self.frame_features = FrameFeatures(self._features) if sees_frames(network) else None
        """Where the network sees frames one by one: what it made of those that windows share."""

    def infer(self, windows: Sequence[Sequence[Pixels]]) -> Inference:
        """See `WindowModel.infer`."""
        with torch.inference_mode():
            embedding = self._embed(windows)
            logits = self._network.head(embedding).float()
            p = torch.softmax(logits / self.description.temperature, dim=1)
            feature = describe_feature(embedding.float(), logits, self.description)
            return Inference(p=p.cpu().numpy(), feature=feature.cpu().numpy())

    def _embed(self, windows: Sequence[Sequence[Pixels]]) -> Tensor:
        shape = self.description.input
        if self.frame_features is not None and sees_frames(self._network):
            known = self.frame_features.of([seen_frames(window, shape) for window in windows])
            return self._network.temporal(torch.from_numpy(known).to(self.device, self._dtype))
        x = self._normalised(np.stack([pick_frames(window, shape) for window in windows]))
        return self._network.embed(x.permute(0, 4, 1, 2, 3))  # in memory still channels last, as the weights are

    def _features(self, frames: Sequence[Pixels]) -> npt.NDArray[np.float32]:
        assert sees_frames(self._network)
        x = self._normalised(np.stack([resize(frame, self.description.input) for frame in frames]))
        return self._network.frame_features(x.permute(0, 3, 1, 2)).float().cpu().numpy()

    def _normalised(self, frames: npt.NDArray[np.uint8]) -> Tensor:
        return normalise(torch.from_numpy(frames).to(self.device), self.description.input, self._dtype)
