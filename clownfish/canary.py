"""Canary: a new model beside the old one, on a share of the windows, and what comes of it (layer 0).

Which windows are tried is drawn from their identity alone, so the same ones are, whoever decides and however often.

- `answer`: the new model's answer goes to the edge. If it fails, or has none when half of the window's time is over,
  the old model is asked; so a window may be late because of a canary, but is not lost to it.
- `shadow`: both are asked, the old model's answer goes to the edge, and the two are compared.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from hashlib import blake2b
from typing import Literal

from clownfish.messages import Vector, WindowKey

Mode = Literal["answer", "shadow"]
Which = Literal["old", "canary"]


class Canary:
    """`share` of the windows of edges with the same classes are tried on `model`, unless they ask for it by name.

    `memory` bounds the windows of which one model has answered and the other not yet.
    """

    def __init__(self, model: str, share: float, mode: Mode = "answer", memory: int = 1024) -> None:
        if not model or not 0 < share <= 1:
            raise ValueError(f"a canary is a model, and a share above 0 and at most 1, got {model=} {share=}")
        self.model = model
        self.share = share
        self.shadow = mode == "shadow"
        self.counts: Counter[str] = Counter(
            {
                **{f'canary_windows{{model="{which}"}}': 0 for which in ("old", "canary")},
                **{f'canary_failed{{model="{which}"}}': 0 for which in ("old", "canary")},
                **dict.fromkeys(("canary_late", "canary_no_room", "canary_compared", "canary_agreed"), 0),
            }
        )
        """windows: answered by either. failed: errors, and jobs held when evicted. late: given to the old model for it.
        no_room: would have been tried, had the canary's workers had room. compared, agreed: in shadow, by argmax."""
        self._memory = memory
        self._first: OrderedDict[tuple[bytes, WindowKey], tuple[Which, int]] = OrderedDict()

    def chooses(self, key: WindowKey) -> bool:
        """Whether this window is one of the share."""
        digest = blake2b(f"{key.stream}/{key.epoch}/{key.t}".encode("utf-8", "replace"), digest_size=8).digest()
        return int.from_bytes(digest, "big") < self.share * 2**64

    def which(self, model: str) -> Which:
        return "canary" if model == self.model else "old"

    def failed(self, model: str) -> None:
        """A worker with this model gave no answer for a window."""
        self.counts[f'canary_failed{{model="{self.which(model)}"}}'] += 1

    def answered(self, edge: bytes, key: WindowKey, model: str, p: Vector) -> Which:
        """A worker with this model answered; in shadow compared with what the other said of the same window."""
        which = self.which(model)
        self.counts[f'canary_windows{{model="{which}"}}'] += 1
        if self.shadow and p.size and self.chooses(key):
            other = self._first.pop((edge, key), None)
            if other is None or other[0] == which:
                self._first[edge, key] = (which, int(p.argmax()))
                if len(self._first) > self._memory:
                    self._first.popitem(last=False)
            else:
                self.counts["canary_compared"] += 1
                self.counts["canary_agreed"] += other[1] == int(p.argmax())
        return which
