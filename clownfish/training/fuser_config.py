"""What `clownfish train fuser` is told: a fusion method, the pair whose answers it fuses, and streams to learn from."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FuserFit(_Section):
    epochs: int = Field(default=20, ge=1)
    batches: int = Field(default=40, ge=1)
    """Of each epoch."""
    batch: int = Field(default=32, ge=1)
    """Pieces of streams in each."""
    windows: int = Field(default=96, ge=32)
    """Of a piece."""
    warm: int = Field(default=16, ge=1)
    """Windows at the beginning of a piece that are not judged."""
    answers: int = Field(default=24, ge=1)
    """Windows of a piece whose live answers are judged."""
    learning_rate: float = Field(default=5e-3, gt=0)
    weight_decay: float = Field(default=1e-3, ge=0)
    hidden_learning_rate: float = Field(default=2e-3, gt=0)
    """Of the hidden Markov chain, whose inputs are logarithms as they are …"""
    hidden_weight_decay: float = Field(default=1.0, ge=0)
    """… and which is held where it began."""
    max_lag: int = Field(default=8, ge=0)
    """Each batch draws its lag from 0 to this."""
    n_w: tuple[int, ...] = Field(default=(4, 6, 8, 12, 20), min_length=1)
    """Filter intervals of the paper's policy, one a batch …"""
    random_share: float = Field(default=0.5, ge=0, le=1)
    """… but for this share of batches, whose windows are sent at random."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Of the recurrent method's state, where answers are read off it."""
    jitter: float = Field(default=0.0, ge=0, lt=1)
    """Each piece's logarithms are scaled by 1 ± this, each model's by its own: as if it were calibrated otherwise."""
    gaps: float = Field(default=0.02, ge=0, lt=1)
    """Share of sent windows that local inference is made to skip."""

    @model_validator(mode="after")
    def _check(self) -> FuserFit:
        if self.warm >= self.windows:
            raise ValueError(f"warm {self.warm} leaves none of {self.windows} windows to judge")
        return self


class FuserConfig(_Section):
    """The whole file."""

    name: str
    seed: int
    output: Path
    """Without suffix: .safetensors, .json and .md are written."""
    runs: Path = Path("runs/train")
    method: Literal["bayesian", "recurrent"]
    pair: str
    """`zoo:SET` or a .toml file: local and remote model, and the similarity."""
    remote: str = ""
    """In place of the pair's, where that one was trained on the streams, too."""
    train: str
    """Streams to learn from: sources, blanks between; `{0..23}` stands for each of those numbers."""
    validation: str
    """Streams by which the best epoch is chosen, likewise."""
    dumps: Path = Path("runs/dumps")
    units: int = Field(default=48, ge=1)
    """Of the recurrent method's state."""
    heads: int = Field(default=12, ge=1)
    """Offsets at which the recurrent method's state is read for a closing revision."""
    lookahead: int = Field(default=16, ge=1, le=32)
    """How many windows after one its closing revision looks at."""
    tied: bool = False
    """Of the bayesian method: learn four numbers that all classes share, and no matrices. For few streams."""
    judged_n_w: tuple[int, ...] = Field(default=(6, 20), min_length=1)
    judged_lags: tuple[int, ...] = Field(default=(1, 4, 8), min_length=1)
    """Filter intervals and lags at which validation is judged."""
    fit: FuserFit = FuserFit()


def expanded(text: str) -> list[str]:
    """The sources in `text`: `a{08..10}b` is a08b, a09b, a10b, zeros kept."""
    found: list[str] = []
    for word in text.split():
        many = _RANGE.search(word)
        if many is None:
            found.append(word)
            continue
        first, last = many.groups()
        numbers = (str(n).zfill(len(first)) for n in range(int(first), int(last) + 1))
        found += [f"{word[: many.start()]}{n}{word[many.end() :]}" for n in numbers]
    return found
