"""An experiment of the network lab: sources, a method and a profile; how it is run, and what is kept of it (layer 4).

The edge's processes run in one network namespace, router and workers in another, with the profile's network in between;
inside the edge they speak over ipc, to the router over TCP. All methods are the same graph, differently set.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from rich.console import Console

from clownfish.cli.onerun import play, read_answers, score_labels
from clownfish.cli.options import RunOptions, answers_file, build_config, pair_name
from clownfish.cli.outcome import Outcome
from clownfish.cli.tables import cpu_s
from clownfish.config import read_toml, validate_as
from clownfish.errors import ConfigError
from clownfish.evaluation.metrics import Ints, accuracy
from clownfish.filters import FILTERS
from clownfish.lab import discard
from clownfish.lab.folder import run_folder
from clownfish.lab.net.network import Network
from clownfish.lab.net.plan import CLOUD_ADDRESS
from clownfish.lab.net.profile import Profile
from clownfish.lab.recorded import in_cloud
from clownfish.lab.throughput import Reading, rates
from clownfish.messages import Status
from clownfish.metrics import Histogram
from clownfish.overview import labelled
from clownfish.settings import Config
from clownfish.sources import is_live, truth_of
from clownfish.supervisor import Spec, Supervisor

Method = Literal["edge-only", "cloud-only", "early-discard", "clownfish"]
METHODS: tuple[Method, ...] = get_args(Method)

_WAITING = ("streams.0.pace=patient", "uplink.waits=true", "uplink.backlog=1", "uplink.deadline_ms=60000")
"""Whatever waits in the box on its way to a slow uplink is seconds old when its turn comes, and still wanted."""
_MARGIN_S = 1.5
"""At both ends of a stream, not part of a sample: the first window takes half a second, statuses come once a second."""
_TCP = {"control": f"tcp://{CLOUD_ADDRESS}:7100", "data": f"tcp://{CLOUD_ADDRESS}:7101"}


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """The keys of a file in configs/lab; the command line overrides some."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    about: str = ""
    sources: tuple[str, ...]
    """Played one after the other, each by a graph of its own."""
    pair: str = ""
    seconds: float | None = None
    """Of each source."""
    profile: str = "lan"
    by: Literal["", "time", "video"] = ""
    """When the profile goes on to its next phase, where it is not as the profile says."""
    method: Method = "clownfish"
    n_w: int | None = None
    codec: str | None = None
    sets: tuple[str, ...] = ()
    """As `--set`, for all methods."""

    def __post_init__(self) -> None:
        if not self.sources:
            raise ValueError("sources is empty; expected one video at least")


def read_experiment(name: str) -> Experiment:
    """From a .toml file, or of a single source. Raises ConfigError."""
    if not name.endswith(".toml"):
        return Experiment(sources=(name,))
    return validate_as(Experiment, read_toml(Path(name)), name)


@dataclass
class Part:
    """One source's share of a result: where a profile goes by videos, a section of Fig. 13."""

    source: str
    rate_mbit: float | None = None
    """The uplink's cap while it was played; None where there is none, or it changed."""
    fps: list[float] = field(default_factory=list)
    up_bytes: int = 0
    down_bytes: int = 0
    seconds: float = 0.0
    confusions: dict[str, Ints] = field(default_factory=dict)

    def numbers(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            **{
                name: getattr(self, name)
                for name in ("source", "rate_mbit", "fps", "up_bytes", "down_bytes", "seconds")
            },
            **_scores(self.confusions),
        }


@dataclass
class Result:
    """What came of one method in one network, over all sources."""

    method: Method
    profile: str
    backend: str
    pair: str = ""
    n_w: int | None = None
    """As the filter had it; None where it has none."""
    codec: str = ""
    """On the uplink; empty without one."""
    parts: list[Part] = field(default_factory=list)
    """By source."""
    fps: list[float] = field(default_factory=list)
    """Frames answered per second, in samples of 5 s: of cloud-only those that the cloud answered."""
    lags: dict[str, int] = field(default_factory=dict)
    latency: Histogram = field(default_factory=Histogram)
    """From capture to the live answer, ns."""
    age: Histogram = field(default_factory=Histogram)
    """Of windows when the router has them, since they were sent, ns."""
    age_bound: Histogram = field(default_factory=Histogram)
    """What that may be: round trip, own transmission, one credit."""
    beyond_bound: int = 0
    """Windows that were older."""
    up_bytes: int = 0
    down_bytes: int = 0
    """On the wire, by the link's own counters, from a source's beginning to its end."""
    seconds: float = 0.0
    """In which those passed."""
    cpu: dict[str, float] = field(default_factory=dict)
    """Share of one core of each process, mean over the sources; `link` is the emulation's own."""
    confusions: dict[str, Ints] = field(default_factory=dict)
    """Live and final, see evaluation.metrics."""
    lost: dict[str, int] = field(default_factory=dict)
    """Windows without a live answer (missing), and those sent for that the cloud did not answer, by reason."""
    interrupted: bool = False

    def numbers(self) -> dict[str, Any]:
        """As JSON values; `clownfish.lab.recorded` reads them."""
        return {
            **{name: getattr(self, name) for name in ("method", "profile", "backend", "pair", "n_w", "codec")},
            **{name: getattr(self, name) for name in ("fps", "lags", "cpu", "lost")},
            **{name: getattr(self, name) for name in ("up_bytes", "down_bytes", "seconds", "interrupted")},
            "latency_ms": _percentiles_ms(self.latency),
            "age_ms": _percentiles_ms(self.age),
            "age_bound_ms": _percentiles_ms(self.age_bound),
            "beyond_bound": self.beyond_bound,
            **_scores(self.confusions),
            "parts": [part.numbers() for part in self.parts],
        }


def _percentiles_ms(histogram: Histogram) -> dict[str, float | None]:
    found = {f"p{q}": histogram.percentile(q) for q in (50, 99)}
    return {name: ns and ns / 1e6 for name, ns in found.items()}


def _scores(confusions: Mapping[str, Ints]) -> dict[str, Any]:
    """Accuracy, and over how many frames that is."""
    return {
        "accuracy": {name: accuracy(matrix) for name, matrix in confusions.items()},
        "frames": max((int(matrix.sum()) for matrix in confusions.values()), default=0),
    }


def run_experiment(experiment: Experiment, profile: Profile, console: Console) -> Result:
    """Play every source. Whatever happens, nothing of it is left: no process, no network, no folder.

    Raises ClownfishError where network or graph cannot be started.
    """
    for source in experiment.sources:
        if is_live(source):
            raise ConfigError(f"{source} is live and never ends; an experiment needs video files or drawn streams")
    if experiment.by:
        profile = replace(profile, timeline=replace(profile.timeline, by=experiment.by))
    with Network(profile) as network:
        result = Result(experiment.method, profile.name, network.plan.backend)
        result.pair = pair_name(experiment.sources[0], experiment.pair)
        for n, source in enumerate(experiment.sources):
            if not result.interrupted:
                _play(experiment, source, n, network, result, console)
        result.cpu = {name: share / len(experiment.sources) for name, share in result.cpu.items()}
    return result


def options_of(experiment: Experiment, source: str) -> RunOptions:
    """The graph's settings for the method. Raises ConfigError where the pair has no model for it."""
    sets, n_w = [*experiment.sets], experiment.n_w
    if experiment.method in ("cloud-only", "early-discard"):
        # Pipelined, several windows at a time as credit allows, each frame once: the edge waits for what is not sent,
        # as it has no other answer. A window's answer is the large model's alone.
        n_w = None
        sets = [*_WAITING, "fusion.remote_weight=1.0", *sets]
    if experiment.method == "cloud-only":
        sets = ['filter.policy={ kind = "always" }', *sets]
    if experiment.method == "early-discard":
        pair = pair_name(source, experiment.pair)
        policy = f'{{ kind = "{discard.__name__}:SendAbove", threshold = {discard.threshold_of(pair)} }}'
        sets = [
            f"local.model={discard.model_name(pair)}",
            f'local.similarity={{ kind = "{discard.__name__}:SendScore" }}',
            f"filter.policy={policy}",
            *sets,
        ]
    if experiment.method != "edge-only":
        sets = [f"{section}.{name}={address}" for section in ("uplink", "router") for name, address in _TCP.items()] + [
            "router.insecure=true",  # the namespace is nobody else's
            "uplink.insecure=true",
            *sets,
        ]
    cloud = experiment.method != "edge-only"
    codec = experiment.codec if cloud else None
    return RunOptions(
        source, experiment.pair, n_w, codec, cloud, seconds=experiment.seconds, baselines=False, sets=tuple(sets)
    )


class _Watch:
    """Sees each status: begins the network's time with the stream's, and reads what Fig. 13 is drawn from."""

    def __init__(self, network: Network, source_number: int) -> None:
        self._network = network
        self._number = source_number
        self.begin_s: float | None = None
        self.end_s: float | None = None
        self.before = network.traffic()
        self.link_cpu_s = self._link_cpu_s()
        self._readings: dict[str, list[Reading]] = {"fusion": [], "offered": [], "uplink": []}
        """Windows answered by the edge, windows chosen for the cloud, and those that it answered."""
        self._newest: dict[str, Status] = {}

    def __call__(self, supervisor: Supervisor) -> None:
        now = time.monotonic()
        capture = supervisor.children["capture"].status
        if self.begin_s is None and capture is not None and capture.state == "ready":
            self._network.seek(0.0)
            self._network.play_video(self._number)
            self.begin_s, self.before, self.link_cpu_s = now, self._network.traffic(), self._link_cpu_s()
        if self.end_s is None and supervisor.gauge("capture", "sources_open") == 0:
            self.end_s = now
        for process in ("fusion", "uplink"):
            child = supervisor.children.get(process)
            if child is None or child.status is None or child.status is self._newest.get(process):
                continue
            self._newest[process] = child.status
            self._readings[process].append((now, child.status.counters.get("windows_answered", 0)))
            if process == "uplink":
                self._readings["offered"].append((now, child.status.counters.get("windows_offered", 0)))

    def readings(self, method: Method) -> list[Reading]:
        """Windows with an answer, by that method's lights: the cloud's, or of early discard also the discarded ones."""
        if method == "cloud-only":
            return self._readings["uplink"]
        answered = self._readings["fusion"]
        if method != "early-discard" or not self._readings["uplink"]:
            return answered
        at = [now for now, _ in answered]
        offered, home = (np.interp(at, *np.array(self._readings[name]).T) for name in ("offered", "uplink"))
        waiting = (offered - home).tolist()
        return [(now, count - out) for (now, count), out in zip(answered, waiting, strict=True)]

    def _link_cpu_s(self) -> float:
        pid = self._network.link_pid
        return 0.0 if pid is None else cpu_s(pid) or 0.0

    def link_share(self, end_s: float) -> float:
        """Of one core, that the link has used since the stream began."""
        return (self._link_cpu_s() - self.link_cpu_s) / (end_s - (self.begin_s or end_s - 1))


def _play(experiment: Experiment, source: str, number: int, network: Network, result: Result, console: Console) -> None:
    """One source, added to the result."""
    with run_folder() as folder:
        options = options_of(experiment, source)
        config = build_config(options, folder)
        watch = _Watch(network, number)

        def launch(spec: Spec) -> tuple[str, ...]:
            return network.cloud.enter if in_cloud(spec.process) else network.edge.enter

        outcome = asyncio.run(play(config, folder, console, launch, watch))
        end_s = time.monotonic()
        up, down = network.traffic()
        result.interrupted = outcome.interrupted
        if watch.begin_s is None:
            return  # interrupted before the stream began
        result.n_w = config.filter.policy.table().get("n_w")
        result.codec = "" if config.uplink is None else config.uplink.codec.kind
        whole = rates(watch.readings(experiment.method), watch.begin_s + _MARGIN_S, (watch.end_s or end_s) - _MARGIN_S)
        part = Part(
            source,
            _rate_mbit(network.profile, number),
            [config.window.stride * rate for rate in whole],
            up.bytes_out - watch.before[0].bytes_out,
            down.bytes_out - watch.before[1].bytes_out,
            end_s - watch.begin_s,
        )
        result.parts.append(part)
        result.fps += part.fps
        result.up_bytes += part.up_bytes
        result.down_bytes += part.down_bytes
        result.seconds += part.seconds
        _add(result.cpu, {name: usage.cpu_share for name, usage in outcome.usage.items()})
        _add(result.cpu, {"link": watch.link_share(end_s)} if network.link_pid is not None else {})
        _add_counts(result, outcome)
        read_answers(outcome, Path(answers_file(options, folder)))
        _score(part, result, config, outcome, Path(answers_file(options, folder)), pair_name(source, experiment.pair))


def _rate_mbit(profile: Profile, number: int) -> float | None:
    """The uplink's cap while that source is played, where it is one."""
    timeline = profile.timeline
    if timeline.by == "time" and not timeline.steady:
        return None
    return timeline.phases[timeline.at_video(number)].up.rate_mbit


def _add(total: dict[str, Any], more: Mapping[str, Any]) -> None:
    for name, value in more.items():
        total[name] = total.get(name, 0) + value


def _add_counts(result: Result, outcome: Outcome) -> None:
    fusion, uplink = outcome.statuses.get("fusion"), outcome.statuses.get("uplink")
    if fusion is not None:
        _add(result.lags, labelled(fusion.counters, "lag", "windows"))
        result.latency.merge(fusion.histograms.get("capture_to_fused", {}))
        _add(result.lost, {"missing": fusion.counters.get("windows_missing", 0)})
    if uplink is not None:
        result.age.merge(uplink.histograms.get("age_at_router", {}))
        result.age_bound.merge(uplink.histograms.get("age_bound", {}))
        result.beyond_bound += int(uplink.counters.get("windows_beyond_bound", 0))
        _add(result.lost, labelled(uplink.counters, "dropped", "reason"))
        left = round(sum(uplink.gauges.get(name, 0) for name in ("waiting", "in_flight")))
        window = outcome.statuses.get("window")
        if result.method == "cloud-only" and window is not None:  # each is sent: what is not yet was still on its way
            left += max(0, window.counters.get("windows", 0) - uplink.counters.get("windows_offered", 0))
        _add(result.lost, {"left_at_the_end": left} if left else {})


def _score(part: Part, result: Result, config: Config, outcome: Outcome, answers: Path, pair: str) -> None:
    truth = truth_of(config.streams[0].source)
    if truth is None:
        return
    said = {"live": outcome.live, "final": outcome.final}
    if result.method == "cloud-only":
        said = {"final": _remote_labels(answers)}  # none is an answer at once
    elif result.method == "early-discard":
        said = {"final": _discarded(config, outcome, pair) | _remote_labels(answers)}
    elif result.method == "edge-only":
        said = {"live": outcome.live}
    for name, labels in said.items():
        matrix = part.confusions[name] = score_labels(config, truth, outcome.frames, labels)
        result.confusions[name] = result.confusions.get(name, np.zeros_like(matrix)) + matrix


def _remote_labels(answers: Path) -> dict[int, str]:
    """Label of each window that the cloud answered."""
    with answers.open(encoding="utf-8") as lines:
        results = [json.loads(line) for line in lines]
    return {result["t"]: result["label"] for result in results if result["source"] == "remote"}


def _discarded(config: Config, outcome: Outcome, pair: str) -> dict[int, str]:
    """The background for each window that was not sent; nothing where the pair does not say what that is."""
    background = discard.early_discard_of(pair).background
    policy = config.filter.policy.build(FILTERS)
    return {t: background for t, score in outcome.rho.items() if background and not policy.on_rho(t, score)}
