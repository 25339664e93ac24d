"""Drift: the local model's answer has moved away from what it was at the last window sent. Not in the paper.

What a remote answer is worth ends with its context. ρ compares windows that share most of their frames, so a change
shows in it a little at a time, and a rise of ρ (§III-D) may never come; the local answers before and after it differ
at once and go on differing, whatever either is. So the answer at the last window sent, the *anchor*, is remembered and
each later one is compared with it. While they are alike nothing new is to be learnt by asking; when they no longer are,
the window is sent and becomes the anchor. One sent too early, half of it still the old context, corrects itself: the
answers go on moving, and the next one is sent, too, for the few frames that it does not share.
"""

from __future__ import annotations

from clownfish.errors import ConfigError
from clownfish.filters.base import Verdict
from clownfish.messages import Vector
from clownfish.similarity.overlap import overlap

SILENCE = 32
"""Windows beyond the period after which `local` counts as silent, and the period alone decides."""


class Drift:
    """Sends window t where the local answer has been unlike the anchor's for more than `patience` windows running, the
    `follow` windows after that, and one where `n_w` windows have passed since the last.

    Alike are answers whose overlap is `threshold` or more. The windows that follow share three quarters of their frames
    with the one before, so each costs a quarter of its bytes; they catch what the first came too early for.

    All is decided when `local` has spoken, in order of t, so what is sent does not depend on how windows and answers
    interleave. Where `local` is silent for long, every `n_w` + SILENCE-th window is sent unasked.
    """

    def __init__(self, threshold: float = 0.99, patience: int = 0, follow: int = 1, n_w: int = 60) -> None:
        """`threshold` in (0, 1]; `patience`, `follow` ≥ 0 and `n_w` ≥ 1, in windows. Raises ConfigError."""
        if not 0.0 < threshold <= 1.0:
            raise ConfigError(f"drift: threshold is {threshold}; expected 0 < threshold ≤ 1, an overlap")
        for name, value, least in (("patience", patience, 0), ("follow", follow, 0), ("n_w", n_w, 1)):
            if not isinstance(value, int) or value < least:
                raise ConfigError(f"drift: {name} is {value!r}; expected a whole number of windows, at least {least}")
        self.threshold = threshold
        self.patience = patience
        self.follow = follow
        self.n_w = n_w
        self._sent: int | None = None
        self._anchor: Vector | None = None
        """p_local of the window sent last; None until it is known."""
        self._away = 0
        """Windows running that were unlike the anchor."""
        self._following = 0
        """Windows still to send because they follow."""

    def on_window(self, t: int) -> Verdict:
        """SEND for the first window, and where `local` is silent; else WAIT."""
        if self._sent is not None and t - self._sent < self.n_w + SILENCE:
            return Verdict.WAIT
        self._send(t, None)
        return Verdict.SEND

    def on_rho(self, t: int, rho: float | None) -> bool:
        """The local answer is not known: no reason to send."""
        return False

    def on_local(self, t: int, rho: float | None, p_local: Vector) -> bool:
        """True where the answer has drifted, follows one that has, or the period is over."""
        if self._sent is None or t <= self._sent:
            if t == self._sent:
                self._anchor = p_local
            return False
        if self._anchor is None:  # the window sent was never inferred: the next one stands for it
            self._anchor = p_local
        self._away = 0 if overlap(self._anchor, p_local) >= self.threshold else self._away + 1
        if not self._may_send(t):
            return False
        if self._away > self.patience:
            self._following = self.follow
        elif self._following > 0:
            self._following -= 1
        elif t - self._sent < self.n_w:
            return False
        self._send(t, p_local)
        return True

    def _may_send(self, t: int) -> bool:
        """Whether window t, which comes after the last one sent, can be paid for: always, here."""
        return True

    def _send(self, t: int, p_local: Vector | None) -> None:
        self._sent, self._anchor, self._away = t, p_local, 0
