"""Mixed precision (AMP): what the forward pass computes in, and the loss scale that fp16 needs."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
from torch import Tensor

from clownfish.errors import ConfigError, ModelError

Choice = Literal["auto", "fp32", "bf16", "fp16"]


class Precision:
    """`auto` is fp32 on a CPU; on a GPU bf16 where it has it, else fp16. Weights stay fp32.

    Raises ConfigError for fp16 without a GPU: a CPU gains nothing by it that bf16 does not give.
    """

    def __init__(self, choice: Choice, device: torch.device) -> None:
        gpu = device.type == "cuda"
        if choice == "auto":
            choice = ("bf16" if torch.cuda.is_bf16_supported() else "fp16") if gpu else "fp32"
        if choice == "fp16" and not gpu:
            raise ConfigError("fit.precision is 'fp16', which needs a GPU; on a CPU use 'bf16' or 'fp32'")
        self.name = choice
        self._device = device.type
        self._dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(choice)
        self.scaler = torch.amp.GradScaler(device.type, enabled=choice == "fp16")

    def autocast(self) -> AbstractContextManager[object]:
        """Around the forward pass. In fp32 an autocast of the caller's stays in force."""
        return nullcontext() if self._dtype is None else torch.autocast(self._device, self._dtype)

    def step(self, loss: Tensor, optimizer: torch.optim.Optimizer, where: str) -> None:
        """Backward, and one step of the optimiser. Raises ModelError where the loss is not finite."""
        if not torch.isfinite(loss):
            raise ModelError(
                f"the loss is {loss.item()} at {where}: lower learning_rate, then start again from the checkpoint"
                + (", or with precision = 'fp32'" if self._dtype is not None else "")
            )
        optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self.scaler.step(optimizer)
        self.scaler.update()
