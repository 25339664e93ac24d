"""The same similarity always: fusion becomes a moving average of fixed weight, the paper's FixMA (§VI-B)."""

from __future__ import annotations

from clownfish.errors import ConfigError
from clownfish.similarity.base import Inferred


class Constant:
    """ρ = `value`, whatever the windows show."""

    def __init__(self, value: float = 0.9) -> None:
        """`value` in [0, 1]. Raises ConfigError."""
        if not 0.0 <= value <= 1.0:
            raise ConfigError(f"constant: value is {value}; expected a similarity from 0 to 1")
        self.value = float(value)

    def rho(self, previous: Inferred, current: Inferred) -> float:
        return self.value
