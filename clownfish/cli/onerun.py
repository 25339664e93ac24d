"""`clownfish run`: one source through edge and cloud on this machine, and what came of it (layer 4).

The graph is the one that `clownfish up` starts, with its router and one worker on the same box. What is printed comes
from the services' own counters, from the answers that the JSONL sink wrote, and, for the comparison with edge-only and
cloud-only, from both models run over every window afterwards.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from clownfish.cli.options import RunOptions, answers_file, build_config
from clownfish.cli.outcome import Outcome, Usage
from clownfish.cli.summary import print_summary
from clownfish.cli.tables import cpu_s, resident_mb
from clownfish.codecs import CODECS
from clownfish.evaluation.dump import Dump
from clownfish.evaluation.metrics import Ints, answers_by_frame, confusion, truth_by_frame, windows_in
from clownfish.evaluation.recorder import Recorder, RecordSettings
from clownfish.evaluation.recording import record
from clownfish.evaluation.timeline import Timeline, draw
from clownfish.redaction import redacted
from clownfish.runfolder import remove_folder
from clownfish.settings import Config
from clownfish.sources import is_live, open_source, truth_of
from clownfish.sources.truth import Truth
from clownfish.supervisor import Spec, Supervisor
from clownfish.zoo import read_classes


def run_source(options: RunOptions, console: Console) -> Outcome:
    """Run, and print the sum. Raises ClownfishError where something is not as it should be."""
    folder = Path(tempfile.mkdtemp(prefix="clownfish-"))
    try:
        config = build_config(options, folder)
        outcome = asyncio.run(play(config, folder, console))
        answers = Path(answers_file(options, folder))
        read_answers(outcome, answers)
        truth = truth_of(options.source)
        if options.baselines and options.cloud and truth is not None and not is_live(options.source):
            outcome.dump = _dump(config, options, console)
        if truth is not None:
            _score(outcome, truth)
        print_summary(outcome, truth, console)
        if options.picture is not None and outcome.frames:
            _draw(outcome, options, truth)
            console.print(f"picture: {options.picture}")
        if options.output is not None:
            console.print(f"every answer: {options.output}")
        if options.record is not None:
            console.print(f"record: {options.record}; `clownfish eval replay` plays it again")
        return outcome
    finally:
        remove_folder(folder)


async def play(
    config: Config,
    folder: Path,
    console: Console,
    launch: Callable[[Spec], Sequence[str]] = lambda spec: (),
    watch: Callable[[Supervisor], None] = lambda supervisor: None,
) -> Outcome:
    """Run the graph until its source is at its end, or Ctrl-C. `launch`: see Supervisor; `watch` sees each status."""
    outcome = Outcome(config)
    supervisor = Supervisor(config, folder, launch)
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            supervisor.kill_all()
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)

    def on_status() -> None:
        _measure(outcome, supervisor)
        watch(supervisor)

    supervisor.on_status = on_status
    try:
        with console.status("starting edge and cloud …") as line:
            await _unless(stop, supervisor.start(wait_for_all=True))

            def on_status_shown() -> None:
                on_status()
                line.update(_progress(supervisor))

            supervisor.on_status = on_status_shown
            done = supervisor.run_until(lambda: _played(supervisor))
            await _unless(stop, done)
            line.update("waiting for late answers …")
    finally:
        await supervisor.stop()
    outcome.interrupted = stop.is_set()
    for name, child in supervisor.children.items():
        outcome.ready_s[name], outcome.restarts[name] = child.ready_s, child.restarts
        if child.status is not None:
            outcome.statuses[name] = child.status
    window = outcome.statuses.get("window")
    outcome.frames = window.counters.get("frames", 0) if window is not None else 0
    return outcome


def _played(supervisor: Supervisor) -> bool:
    """Whether capture is at the end of its sources. One that could not open any fails, and says why, a moment later."""
    capture = supervisor.children["capture"].status
    return capture is not None and capture.state == "ready" and capture.gauges.get("sources_open") == 0


async def _unless(stop: asyncio.Event, work: Any) -> None:
    """Wait for the work or for Ctrl-C, whichever is first."""
    task, stopped = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    await asyncio.wait([task, stopped], return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not task.done():
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return
    task.result()


def _measure(outcome: Outcome, supervisor: Supervisor) -> None:
    now = time.monotonic()
    for name, child in supervisor.children.items():
        if child.process is None or child.process.returncode is not None:
            continue
        used, memory = cpu_s(child.process.pid), resident_mb(child.process.pid)
        if used is None or memory is None:
            continue
        usage = outcome.usage.setdefault(name, Usage((now, used)))
        if supervisor.gauge("capture", "sources_open") is None:
            usage.begin = (now, used)  # start-up is not the stream's cost
        elif now > usage.begin[0] + 1:
            usage.cpu_share = (used - usage.begin[1]) / (now - usage.begin[0])
        usage.peak_mb = max(usage.peak_mb, memory)


def _progress(supervisor: Supervisor) -> str:
    def count(process: str, name: str) -> int:
        status = supervisor.children[process].status if process in supervisor.children else None
        return status.counters.get(name, 0) if status is not None else 0

    answered, revised = count("fusion", "windows_answered"), count("fusion", "revisions")
    text = f"live: {answered} windows answered"
    if "uplink" in supervisor.children:
        text += f", {count('uplink', 'windows_sent')} sent to the cloud, {revised} answers corrected since"
    return text


def read_answers(outcome: Outcome, path: Path) -> None:
    """What the JSONL sink wrote."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            result = json.loads(line)
            t = result["t"]
            if result["revision"] == 0:
                outcome.live[t] = result["label"]
                outcome.beta[t] = result["beta"]
                if result["rho"] is not None:
                    outcome.rho[t] = result["rho"]
            if result["final"]:
                outcome.final[t] = result["label"]
            elif result["source"] == "remote" and result["lag"] is not None:
                outcome.arrivals[t] = t + result["lag"]
    if outcome.live:  # the last status, which counts the frames, may be lost on a busy box: there were these at least
        window = outcome.config.window
        outcome.frames = max(outcome.frames, max(outcome.live) * window.stride + window.size)


def _dump(config: Config, options: RunOptions, console: Console) -> Dump:
    """Both models over every window of what was played, for the comparison with edge-only and cloud-only."""
    local, uplink, worker, capture = config.local, config.uplink, config.worker, config.capture
    assert local is not None  # build_config sees to it, and to the other two
    assert uplink is not None
    assert worker is not None
    recorder = Recorder(
        RecordSettings(
            local.model,
            worker.model,
            uplink.codec,
            config.window.size,
            config.window.stride,
            capture.width,
            capture.height,
            local.device,
            local.precision,
        )
    )
    with console.status("for comparison: both models over every window …") as line:

        def on_window(t: int) -> None:
            line.update(f"for comparison: both models over every window … {t}")

        if options.seconds is None:
            return recorder.dump(options.source, on_window)
        header, models = recorder.header(options.source), recorder.models()
        with contextlib.closing(open_source(options.source, seconds=options.seconds)) as frames:
            return record(header, frames, *models, uplink.codec.build(CODECS), on_window)


def _score(outcome: Outcome, truth: Truth) -> None:
    """Confusion matrices of what was answered, and of both models alone. Raises DatasetError for an unknown label."""
    config, dump, frames = outcome.config, outcome.dump, outcome.frames
    if dump is not None:
        windows = windows_in(frames, config.window.size, config.window.stride)
        played = dump.t[:windows].tolist()  # less than the dump after Ctrl-C
        for method, p in (("edge-only", dump.p_local), ("cloud-only", dump.p_remote)):
            labels = [dump.header.classes[i] for i in p[: len(played)].argmax(1).tolist()]
            outcome.confusions[method] = score_labels(config, truth, frames, dict(zip(played, labels, strict=True)))
    for method, said in (("fused live", outcome.live), ("fused final", outcome.final)):
        outcome.confusions[method] = score_labels(config, truth, frames, said)


def score_labels(config: Config, truth: Truth, frames: int, labels: Mapping[int, str]) -> Ints:
    """Confusion matrix of the label of each answered window. Raises DatasetError for an unknown label."""
    assert config.local is not None  # build_config sees to it
    classes, size, stride = read_classes(config.local.model), config.window.size, config.window.stride
    t = np.array(sorted(labels), np.int64)
    answers = np.array([classes.index(labels[i]) for i in t.tolist()], np.int64)
    by_frame = answers_by_frame(t, answers, size, stride, frames)
    return confusion(truth_by_frame(truth, classes, frames), by_frame, len(classes))


def _draw(outcome: Outcome, options: RunOptions, truth: Truth | None) -> None:
    config, dump = outcome.config, outcome.dump
    assert config.local is not None  # build_config sees to it
    assert options.picture is not None
    classes = read_classes(config.local.model)
    answers: dict[str, dict[int, str]] = {}
    if dump is not None:
        for name, p in (("edge", dump.p_local), ("cloud", dump.p_remote)):
            answers[name] = dict(zip(dump.t.tolist(), [classes[i] for i in p.argmax(1)], strict=True))
    answers |= {"fused live": outcome.live, "fused final": outcome.final}
    shown, fps = redacted(options.source), config.capture.fps
    if not is_live(options.source):
        with contextlib.closing(open_source(options.source)) as source:
            fps = config.streams[0].fps or source.fps
    draw(
        Timeline(
            title=f"{shown}: {len(outcome.arrivals)} of {len(outcome.live)} windows answered by the cloud",
            classes=classes,
            fps=fps,
            frames=outcome.frames,
            size=config.window.size,
            stride=config.window.stride,
            answers=answers,
            truth=truth,
            rho=outcome.rho,
            beta=outcome.beta,
            theta=config.fusion.theta,
            arrivals=outcome.arrivals,
        ),
        options.picture,
    )
