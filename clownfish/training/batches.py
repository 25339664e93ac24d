"""Batches of augmented windows, each drawn from (seed, epoch, its number) alone: the same ones whoever makes them, in
this process or in any number of others, and after a restart."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from clownfish.datasets.base import Clip
from clownfish.errors import ConfigError
from clownfish.models.description import InputDescription
from clownfish.training.cache import FrameCache
from clownfish.training.config import Augment
from clownfish.training.sampling import change_window, draw_change, random_window

MOST_WORKERS = 8


class Batch(NamedTuple):
    """A step's windows."""

    x: Tensor
    """(batch, 3, frames, height, width), normalised"""
    targets: Tensor
    """(batch, classes), each summing to 1"""
    teacher_x: Tensor | None
    """The same windows, changed alike, as the teacher sees them."""


class Batches(Dataset[Batch]):
    """Batch n of an epoch is `batches[epoch, n]`. Every clip gives `windows_per_clip` windows at random places.

    An epoch's last, smaller batch is kept unless it is a single window, which batch norm cannot train on. Raises
    ConfigError where there are not two windows.
    """

    def __init__(
        self,
        cache: FrameCache,
        clips: Sequence[Clip],
        classes: Sequence[str],
        shape: InputDescription,
        augment: Augment,
        windows_per_clip: int,
        batch: int,
        seed: int,
        teacher: InputDescription | None = None,
    ) -> None:
        self._cache = cache
        self._clips = clips
        self._labels = [classes.index(clip.label) for clip in clips]
        self._classes = len(classes)
        self._shape = shape
        self._teacher = teacher
        self._augment = augment
        self._windows_per_clip = windows_per_clip
        self._batch = batch
        self._seed = seed
        self._order: tuple[int, Any] = (-1, None)
        windows = len(clips) * windows_per_clip
        if windows < 2 or batch < 2:
            raise ConfigError(
                f"{windows} training windows in batches of {batch}; expected two or more (fit.windows_per_clip, "
                "fit.batch)"
            )
        self._count = windows // batch + (windows % batch > 1)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, key: tuple[int, int]) -> Batch:
        epoch, n = key
        if self._order[0] != epoch:
            rng = np.random.default_rng([self._seed, epoch])
            self._order = epoch, rng.permutation(np.repeat(np.arange(len(self._clips)), self._windows_per_clip))
        chosen = self._order[1][n * self._batch : (n + 1) * self._batch]
        rng = np.random.default_rng([self._seed, epoch, n + 1])
        windows, for_teacher = [], []
        for i in chosen:
            frames = random_window(self._cache, self._clips[i], self._shape, rng)
            change = draw_change(frames.shape[1], frames.shape[2], self._augment, rng)
            windows.append(change_window(frames, change, self._shape))
            if self._teacher is not None:
                step = self._teacher.frame_step // self._shape.frame_step
                for_teacher.append(change_window(frames[step - 1 :: step], change, self._teacher))
        x, teacher_x = _stack(windows), _stack(for_teacher) if for_teacher else None
        targets = F.one_hot(torch.tensor([self._labels[i] for i in chosen]), self._classes).float()
        if self._augment.mixup > 0:
            share = float(rng.beta(self._augment.mixup, self._augment.mixup))
            other = torch.from_numpy(rng.permutation(len(chosen)))
            x, targets = (share * each + (1 - share) * each[other] for each in (x, targets))
            teacher_x = None if teacher_x is None else share * teacher_x + (1 - share) * teacher_x[other]
        return Batch(x, targets, teacher_x)

    def __getstate__(self) -> dict[str, Any]:
        """For another process: a mapped file goes by its name, not by its gigabytes."""
        state = self.__dict__.copy()
        frames = self._cache.frames
        base: object = frames.base
        if isinstance(frames, np.memmap) and isinstance(base, mmap.mmap):
            state["_file"] = (frames.filename, frames.offset, frames.shape)
            state["_cache"] = replace(self._cache, frames=np.empty((0, 0, 0, 3), np.uint8))
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        file = state.pop("_file", None)
        self.__dict__.update(state)
        if file is not None:
            name, offset, shape = file
            self._cache = replace(self._cache, frames=np.memmap(name, np.uint8, "r", offset, shape))


def _stack(windows: list[Tensor]) -> Tensor:
    return torch.stack(windows).contiguous(memory_format=torch.channels_last_3d)


class _Keys:
    """What a DataLoader asks its workers for: the keys of one epoch."""

    def __init__(self, count: int) -> None:
        self.epoch = 0
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return ((self.epoch, n) for n in range(self._count))


def epochs_of(batches: Batches, workers: int | None, device: torch.device) -> Callable[[int], Iterable[Batch]]:
    """epoch → its batches in order. `workers` processes make them; None: none on a CPU, up to 8 beside a GPU.

    Workers are spawned, never forked, and stay from one epoch to the next.
    """
    cores = len(os.sched_getaffinity(0))
    gpu = device.type == "cuda"
    count = min(MOST_WORKERS if gpu else 0, cores) if workers is None else min(workers, cores)
    if count == 0:
        return lambda epoch: (batches[epoch, n] for n in range(len(batches)))
    keys = _Keys(len(batches))
    loader: DataLoader[Batch] = DataLoader(
        batches,
        batch_size=None,
        sampler=keys,
        num_workers=count,
        persistent_workers=True,
        multiprocessing_context="spawn",
        pin_memory=gpu,
        generator=torch.Generator(),  # its own, or each epoch would take a number from the one that dropout draws from
    )

    def epoch_of(epoch: int) -> Iterable[Batch]:
        keys.epoch = epoch
        return loader

    return epoch_of
