"""SimiNet (§III-C, Fig. 6): ρ from the local model's features of two windows, by a small learned network.

Plain numpy: three matrix products, so that no torch thread is woken for them. Trained by `clownfish train siminet`,
whose torch twin is `models.siminet`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from clownfish.errors import ModelError
from clownfish.similarity.base import Inferred
from clownfish.zoo import locate

_LAYERS = ("fc1", "fc2", "fc3")


class SimiNet:
    """`weights`: a .safetensors file or a `zoo:` name. Raises ModelError where the file is not a SimiNet's."""

    def __init__(self, weights: str = "zoo:ucf9/siminet") -> None:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        path = locate(weights).with_suffix(".safetensors")
        try:
            tensors = load_file(path)
        except FileNotFoundError as error:
            raise ModelError(
                f"{path}: no such file; train a SimiNet, or name another (a path, or zoo:SET/MODEL)"
            ) from error
        except (OSError, SafetensorError) as error:
            raise ModelError(f"{path}: is not a whole safetensors file ({error})") from error
        wanted = {f"{layer}.{part}" for layer in _LAYERS for part in ("weight", "bias")}
        if set(tensors) != wanted:
            raise ModelError(f"{path}: holds {', '.join(sorted(tensors))}; a SimiNet holds {', '.join(sorted(wanted))}")
        self._weights = [np.ascontiguousarray(tensors[f"{layer}.weight"].T, np.float32) for layer in _LAYERS]
        self._biases = [tensors[f"{layer}.bias"].astype(np.float32) for layer in _LAYERS]
        shapes = [w.shape for w in self._weights]
        if any(len(shape) != 2 for shape in shapes) or not (
            shapes[0][0] % 2 == 0
            and shapes[0][1] == shapes[1][0]
            and shapes[1][1] == shapes[2][0]
            and shapes[2][1] == 1
        ):
            raise ModelError(f"{path}: layers of shape {shapes} do not follow each other as a SimiNet's")
        self.feature_size = shapes[0][0] // 2
        self._path = path

    def rho(self, previous: Inferred, current: Inferred) -> float:
        """Similarity of `current` to `previous`. Raises ModelError where their features are of another size."""
        return float(self.rho_batch(previous.feature[None], current.feature[None])[0])

    def rho_batch(
        self, previous: npt.NDArray[np.floating], current: npt.NDArray[np.floating]
    ) -> npt.NDArray[np.float32]:
        """ρ of n pairs at once, shape (n,); features of shape (n, feature_size)."""
        if previous.shape != current.shape or previous.shape[1:] != (self.feature_size,):
            raise ModelError(
                f"{self._path}: made for features of size {self.feature_size}, got {previous.shape[1:]} and "
                f"{current.shape[1:]}; a SimiNet belongs to the local model that it was trained on"
            )
        x = np.concatenate([previous, current], axis=1).astype(np.float32)
        x = np.maximum(x @ self._weights[0] + self._biases[0], 0)
        x = np.maximum(x @ self._weights[1] + self._biases[1], 0)
        z = np.clip((x @ self._weights[2] + self._biases[2])[:, 0], -80, 80)  # exp stays finite in float32
        rho: npt.NDArray[np.float32] = 1 / (1 + np.exp(-z))
        return rho
