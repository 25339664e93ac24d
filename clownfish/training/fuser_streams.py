"""What a fuser learns from: dumps of held-out streams as padded tensors, with the windows that a filter would send."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from clownfish.errors import ConfigError, DatasetError
from clownfish.evaluation.dump import Dump
from clownfish.evaluation.metrics import UNSCORED, truth_by_frame
from clownfish.evaluation.recorder import Recorder
from clownfish.evaluation.replay import replay, rhos
from clownfish.evaluation.sets import pair_settings
from clownfish.filters.context_aware import ContextAware
from clownfish.models.fusers import Seen
from clownfish.settings import Plugin
from clownfish.similarity import SIMILARITIES
from clownfish.sources import truth_of
from clownfish.sources.truth import Truth
from clownfish.training.fuser_config import FuserConfig, expanded
from clownfish.training.progress import Say


@dataclass(frozen=True, slots=True)
class Streams:
    """Several streams side by side, the shorter ones padded; shapes (windows, streams[, classes])."""

    seen: Seen
    """Nothing sent."""
    sent: dict[int, Tensor]
    """By n_w, what the paper's policy sends: 1 or 0."""
    label: Tensor
    """The class of the frames that a window answers for."""
    weight: Tensor
    """How many of those frames are scored (DESIGN §5.10); 0 in the padding."""
    length: Tensor
    """(streams,) windows of each."""

    def cut(self, starts: Sequence[int], which: Sequence[int], windows: int, sent: Tensor) -> Streams:
        """Pieces of `windows` windows, that of stream which[i] from window starts[i], with what `sent` says is sent."""
        t = torch.tensor(starts)[None] + torch.arange(windows)[:, None]
        s = torch.tensor(which)[None].expand_as(t)

        def piece(x: Tensor) -> Tensor:
            return x[t, s]

        seen = Seen(*(piece(getattr(self.seen, name)) for name in Seen.__slots__))
        seen = replace(seen, sent=piece(sent))
        return Streams(seen, {}, piece(self.label), piece(self.weight), self.length[torch.tensor(which)])


@dataclass(frozen=True, slots=True)
class Learned:
    """All that a run learns from."""

    classes: tuple[str, ...]
    local: str
    remote: str
    """Names of the models."""
    train: Streams
    validation: Streams


def learned_from(config: FuserConfig, say: Say) -> Learned:
    """The streams of a configuration, dumped where they are not yet: minutes each. Raises what the recorder raises, and
    DatasetError for a stream without ground truth."""
    both = set(expanded(config.train)) & set(expanded(config.validation))
    if both:
        raise ConfigError(f"{sorted(both)[0]} is both to train and to validate on; a stream can be one")
    said = pair_settings(config.pair, remote=config.remote)
    recorder = Recorder(said.record, config.dumps)
    similarity = (Plugin("siminet", {"weights": said.siminet}) if said.siminet else Plugin("cosine")).build(
        SIMILARITIES
    )
    intervals = sorted({*config.fit.n_w, *config.judged_n_w})
    found = []
    classes: tuple[str, ...] = ()
    local = remote = ""
    for part in (config.train, config.validation):
        sources = expanded(part)
        if not sources:
            raise ConfigError("train and validation both need streams to be named")
        dumped = []
        for source in sources:
            truth = truth_of(source)
            if truth is None:
                raise DatasetError(f"{source}: has no ground truth; a fuser learns from labelled streams alone")
            dump = recorder.dump(source)
            say(f"{source}: {dump.windows} windows")
            classes = dump.header.classes
            local, remote = dump.header.local.name, dump.header.remote.name
            dumped.append((dump, truth, rhos(dump, similarity)))
        found.append(side_by_side(dumped, intervals))
    return Learned(classes, local, remote, *found)


def side_by_side(
    dumped: Sequence[tuple[Dump, Truth, np.ndarray[tuple[int], np.dtype[np.float64]]]], intervals: Sequence[int]
) -> Streams:
    """(dump, truth, ρ of each window) of each stream, and what the paper's policy sends for each n_w."""
    windows = max(dump.windows for dump, _, _ in dumped)
    classes = len(dumped[0][0].header.classes)
    shape = (windows, len(dumped))
    p_local = np.full((*shape, classes), 1 / classes, np.float32)
    p_remote = p_local.copy()
    rho = np.full(shape, np.nan, np.float32)
    label, weight = np.zeros(shape, np.int64), np.zeros(shape, np.float32)
    sent = {n_w: np.zeros(shape, np.float32) for n_w in intervals}
    for i, (dump, truth, rho_of) in enumerate(dumped):
        n = dump.windows
        p_local[:n, i], p_remote[:n, i], rho[:n, i] = dump.p_local, dump.p_remote, rho_of
        label[:n, i], weight[:n, i] = answers_for(dump, truth)
        for n_w in intervals:
            policy: Callable[[], ContextAware] = lambda n_w=n_w: ContextAware(n_w)  # type: ignore[misc]  # noqa: E731
            sent[n_w][:n, i] = np.isin(dump.t, replay(dump, rho_of, policy, None).sent)
    return Streams(
        Seen.of(torch.from_numpy(p_local), torch.from_numpy(p_remote), torch.from_numpy(rho), torch.zeros(shape)),
        {n_w: torch.from_numpy(mask) for n_w, mask in sent.items()},
        torch.from_numpy(label),
        torch.from_numpy(weight),
        torch.tensor([dump.windows for dump, _, _ in dumped]),
    )


def answers_for(
    dump: Dump, truth: Truth
) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], np.ndarray[tuple[int], np.dtype[np.float32]]]:
    """(class, number of scored frames) of what each window answers for: its last `stride` frames, of which those scored
    lie in one context. The class of a window without any is 0, and counts for nothing."""
    header = dump.header
    by_frame = truth_by_frame(truth, header.classes, dump.frames)
    frames = dump.t[:, None] * header.stride + header.size - header.stride + np.arange(header.stride)
    shown = by_frame[frames]
    return shown.max(1).clip(min=0), (shown != UNSCORED).sum(1).astype(np.float32)
