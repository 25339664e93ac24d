"""`clownfish model bench`: one model in every engine, over the same real windows, beside torch fp32.

Engines take turns window by window, in an order that rotates, so that whatever slows the machine meanwhile slows all.
What is timed is `infer`, pixels in and probabilities out, one window at a time, on one thread; windows come in runs
that overlap as a stream's do, so that what a model keeps from one to the next counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from clownfish.errors import ClownfishError, DatasetError, ModelError
from clownfish.evaluation.metrics import truth_by_frame
from clownfish.messages import Pixels, Window
from clownfish.models.description import ONNX, read_description
from clownfish.models.engines import ENGINES
from clownfish.settings import Capture, WindowSection
from clownfish.sources import truth_of
from clownfish.sources.windows import CALIBRATION_WINDOWS, spread_windows
from clownfish.zoo.own import is_own

if TYPE_CHECKING:
    from clownfish.models.adapter import Classifier
    from clownfish.models.engines.base import Device, Precision

Floats = npt.NDArray[np.floating[Any]]

RUN = 8
"""Windows that follow each other."""
WARM_UP = 2
"""Windows that each engine answers before it is timed."""


@dataclass(frozen=True)
class EngineBenchOptions:
    """What to compare, on what."""

    model: str
    source: str
    engines: tuple[str, ...] = ()
    """Empty: all."""
    windows: int = 200
    max_changed: float = 0.01
    """Share of answers that an engine may change and still be recommended."""
    calibration: str = ""
    """Source whose windows set the ranges of int8; empty: windows of `source` that are not measured."""
    device: Device = "cpu"


@dataclass(frozen=True)
class Score:
    """One engine in one precision."""

    engine: str
    precision: Precision
    runs_on: str
    load_s: float
    median_ms: float
    p95_ms: float
    cpu_ms: float
    """Processor time, the median."""
    ratio: float
    """Of its time to fp32's for the same window, the median over the windows: processor time where both compute on the
    CPU, where an idle machine's latency is that and a busy one's is anything; else wall time."""
    changed: int
    """Windows with another top class than fp32's."""
    difference: float
    """Mean |Δp| over windows and classes."""
    accuracy: float | None
    """Share of scored frames answered right; None where the source has no truth for these classes."""
    weights_mb: float


@dataclass(frozen=True)
class Absent:
    """An engine that could not be measured here, and why."""

    engine: str
    precision: Precision | None
    reason: str


@dataclass(frozen=True)
class EngineBench:
    """What was found. The first score is the baseline's."""

    options: EngineBenchOptions
    windows: int
    calibrated_on: str
    scores: list[Score]
    absent: list[Absent]

    def share(self, score: Score) -> float:
        """Of answers changed."""
        return score.changed / self.windows

    @property
    def refused(self) -> list[Score]:
        """Those that change more answers than may be."""
        return [each for each in self.scores if self.share(each) > self.options.max_changed]

    @property
    def recommended(self) -> Score:
        """The fastest of the others; the baseline itself, which changes nothing, is always one."""
        return min((each for each in self.scores if each not in self.refused), key=lambda each: each.ratio)


@dataclass
class _Runner:
    engine: str
    precision: Precision
    model: Classifier
    load_s: float
    ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    p: list[npt.NDArray[np.float32]] = field(default_factory=list)

    def answer(self, window: Window) -> None:
        begin, cpu_begin = time.perf_counter(), time.process_time()
        p = self.model.infer([window.frames]).p[0]
        self.ms.append((time.perf_counter() - begin) * 1000)
        self.cpu_ms.append((time.process_time() - cpu_begin) * 1000)
        self.p.append(p)


def bench_engines(options: EngineBenchOptions, say: Callable[[str], None]) -> EngineBench:
    """Load, measure, compare; `say` is told what is going on.

    Raises ClownfishError where model, source or an engine's name is wrong. An engine that cannot be used here is no
    error: it is listed with the reason.
    """
    if is_own(options.model):
        raise ModelError(f"{options.model} is your own code and runs in no engine; give a model with a description")
    for name in options.engines:
        ENGINES.get(name)  # an unknown one shows before minutes are spent
    description = read_description(options.model)
    say(f"reading windows of {options.source} …")
    measured, calibrating, calibrated_on = _read(options, description.input.window_size)
    baseline = ("onnxruntime" if description.architecture == ONNX else "torch", "fp32")
    runners, absent = _load(options, baseline, [window.frames for window in calibrating], say)
    for runner in runners:
        for window in measured[:WARM_UP]:
            runner.model.infer([window.frames])
    for i, window in enumerate(measured):
        say(f"window {i + 1} of {len(measured)}, {len(runners)} engines in turn …")
        for k in range(len(runners)):
            runners[(i + k) % len(runners)].answer(window)
    labels = _labels(options, description.classes, measured)
    scores = [_score(runner, runners[0], labels) for runner in runners]
    return EngineBench(options, len(measured), calibrated_on, scores, absent)


def _read(options: EngineBenchOptions, size: int) -> tuple[list[Window], list[Window], str]:
    """(windows to measure on, windows to calibrate on, where the latter are from)."""
    capture = Capture()
    read = partial(
        spread_windows, size=size, stride=min(WindowSection().stride, size), width=capture.width, height=capture.height
    )
    if options.calibration:
        calibrating = read(options.calibration, count=CALIBRATION_WINDOWS)
        return read(options.source, count=options.windows, run=RUN), calibrating, options.calibration
    windows = read(options.source, count=options.windows + -(-options.windows // (RUN - 1)), run=RUN)
    if len(windows) < 2:
        raise ClownfishError(f"{options.source} has one window; two are needed: use a longer video, or --calibration")
    # the last of each run, so that the others still follow each other
    calibrating = windows[RUN - 1 :: RUN] or windows[-1:]
    taken = {window.t for window in calibrating}
    measured = [window for window in windows if window.t not in taken][: options.windows]
    return measured, calibrating[:: -(-len(calibrating) // CALIBRATION_WINDOWS)], f"{options.source}, windows between"


def _load(
    options: EngineBenchOptions,
    baseline: tuple[str, str],
    calibration: Iterable[Sequence[Pixels]],
    say: Callable[[str], None],
) -> tuple[list[_Runner], list[Absent]]:
    from clownfish.models.adapter import Classifier
    from clownfish.models.engines.base import EngineMissing
    from clownfish.models.load import load_model

    def load(engine: str, precision: Precision) -> _Runner:
        say(f"loading {engine} {precision} …")
        begin = time.perf_counter()
        model = load_model(options.model, options.device, precision, engine, lambda size: calibration)
        assert isinstance(model, Classifier)  # all but a user's own are
        return _Runner(engine, precision, model, time.perf_counter() - begin)

    runners = [load(baseline[0], "fp32")]
    absent: list[Absent] = []
    for engine in options.engines or ENGINES.names():
        for precision in ENGINES.get(engine).precisions(options.device):
            if (engine, precision) == baseline:
                continue
            try:
                runners.append(load(engine, precision))
            except EngineMissing as error:
                absent.append(Absent(engine, None, str(error)))
                break
            except ClownfishError as error:
                absent.append(Absent(engine, precision, str(error)))
    return runners, absent


def _labels(
    options: EngineBenchOptions, classes: tuple[str, ...], windows: Sequence[Window]
) -> list[npt.NDArray[np.int64]] | None:
    """The true classes of the frames that each window's answer belongs to, its last `stride` ones; None without truth
    for these classes."""
    truth = truth_of(options.source)
    if truth is None:
        return None
    ends = [window.first + len(window.frames) for window in windows]
    try:
        by_frame = truth_by_frame(truth, classes, max(ends))
    except DatasetError:  # another set's labels: speed and agreement are still to be had
        return None
    stride = WindowSection().stride
    return [by_frame[max(0, end - stride) : end] for end in ends]


def _score(runner: _Runner, baseline: _Runner, labels: list[npt.NDArray[np.int64]] | None) -> Score:
    p, p0, ms = np.stack(runner.p), np.stack(baseline.p), np.array(runner.ms)
    top = p.argmax(axis=1)
    on_cpu = {runner.model.engine.runs_on, baseline.model.engine.runs_on} == {"cpu"}
    mine, base = (np.array(each.cpu_ms if on_cpu else each.ms) for each in (runner, baseline))
    accuracy = None
    if labels is not None:
        right = [label[label >= 0] == answer for label, answer in zip(labels, top, strict=True)]
        scored = np.concatenate(right)
        accuracy = float(scored.mean()) if len(scored) else None
    return Score(
        engine=runner.engine,
        precision=runner.precision,
        runs_on=runner.model.engine.runs_on,
        load_s=runner.load_s,
        median_ms=float(np.median(ms)),
        p95_ms=float(np.quantile(ms, 0.95)),
        cpu_ms=float(np.median(runner.cpu_ms)),
        ratio=float(np.median(mine / base)),
        changed=int((top != p0.argmax(axis=1)).sum()),
        difference=float(np.abs(p - p0).mean()),
        accuracy=accuracy,
        weights_mb=runner.model.engine.weights_bytes / 1e6,
    )
