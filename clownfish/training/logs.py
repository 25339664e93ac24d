"""A run's log: CSV always, TensorBoard beside it where asked for.

The CSV is written whole from the checkpoint's history, so that no kill leaves a line twice or none.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clownfish.atomic import write_text
from clownfish.errors import ConfigError

Row = Mapping[str, float]
"""What was measured in an epoch, by name; `epoch` among it."""


class RunLog:
    """`log.csv` in `folder`, and TensorBoard's event files where `tensorboard` is true.

    Raises ConfigError where TensorBoard is asked for and not installed.
    """

    def __init__(self, folder: Path, tensorboard: bool = False) -> None:
        self._folder = folder
        self._writer: Any = None
        if tensorboard:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError as error:
                raise ConfigError("tensorboard = true needs: pip install 'clownfish[tensorboard]'") from error
            self._writer = SummaryWriter(str(folder))

    def write(self, history: Sequence[Row]) -> None:
        """The whole history so far, the newest epoch last."""
        text = io.StringIO()
        writer = csv.DictWriter(text, list(history[-1]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: f"{value:.6g}" for name, value in row.items()} for row in history)
        write_text(self._folder / "log.csv", text.getvalue())
        if self._writer is not None:
            for name, value in history[-1].items():
                if name != "epoch":
                    self._writer.add_scalar(name, value, int(history[-1]["epoch"]))
            self._writer.flush()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
