"""What `clownfish run` prints at its end (layer 4): accuracy, what was sent, lags, latency, what each process used."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from clownfish.cli.outcome import Outcome
from clownfish.cli.tables import plain_table
from clownfish.evaluation.metrics import Ints, accuracy, weighted_f1
from clownfish.messages import Status
from clownfish.metrics import Histogram
from clownfish.overview import labelled
from clownfish.sources.truth import Truth

_MEANS = {
    "edge-only": "the small model alone",
    "cloud-only": "the large model on every window, at once",
    "fused live": "what was said in real time",
    "fused final": "after late answers corrected it",
}


def print_summary(outcome: Outcome, truth: Truth | None, console: Console) -> None:
    """Print all that is known of a run."""
    console.print()
    if outcome.interrupted:
        console.print("[yellow]interrupted; this is what was played until then[/]\n")
    if truth is not None:
        console.print(_accuracy(outcome))
        if (warning := harm(outcome.confusions)) is not None:
            console.print(f"[yellow]{warning}[/]")
    else:
        console.print(
            "no ground truth beside the source (a .csv with start_frame, end_frame, label): nothing is scored"
        )
    console.print()
    console.print(_facts(outcome))
    console.print()
    console.print(_processes(outcome))


def _accuracy(outcome: Outcome) -> Table:
    return plain_table(
        "Right answers, by frame",
        ("", "accuracy", "weighted F1", ""),
        [
            (method, f"{accuracy(matrix):.1%}", f"{weighted_f1(matrix):.1%}", f"[dim]{_MEANS[method]}[/]")
            for method, matrix in outcome.confusions.items()
        ],
    )


def harm(confusions: Mapping[str, Ints]) -> str | None:
    """What to say where asking the cloud cannot help: its model was no better than the small one."""
    if not {"edge-only", "cloud-only"} <= confusions.keys():
        return None
    edge, cloud = accuracy(confusions["edge-only"]), accuracy(confusions["cloud-only"])
    if not cloud <= edge:  # nor where nothing was scored
        return None
    return (
        f"the large model is right on {cloud:.1%} of these frames and the small one on {edge:.1%}: asking it cannot "
        "help here; `clownfish eval streams VIDEO --pair PAIR --confusion` says what it takes for what"
    )


def _facts(outcome: Outcome) -> Table:
    status = outcome.statuses
    rows: list[tuple[str, str]] = []
    window, local = _count(status, "window", "windows"), _count(status, "local", "windows_skipped")
    answered, missing = _count(status, "fusion", "windows_answered"), _count(status, "fusion", "windows_missing")
    rows.append(("windows formed / answered / skipped / missing", f"{window} / {answered} / {local} / {missing}"))
    if "uplink" in status:
        rows += _cloud(outcome, window)
    for label, process, name in (
        ("edge model, p50 / p99", "local", "model"),
        ("capture to answer, p50 / p99", "fusion", "capture_to_fused"),
        ("what the graph adds to the model, p50 / p99", "fusion", "graph_overhead"),
        ("cloud: decode and model, p50 / p99", "worker-0", "job"),
    ):
        if process in status and name in status[process].histograms:
            histogram = Histogram(status[process].histograms[name])
            rows.append((label, f"{_ms(histogram, 50)} / {_ms(histogram, 99)} ms"))
    return plain_table("The run", ("", ""), rows)


def _cloud(outcome: Outcome, windows: int) -> list[tuple[str, str]]:
    status = outcome.statuses
    sent, answered = _count(status, "uplink", "windows_sent"), _count(status, "uplink", "windows_answered")
    late = _count(status, "fusion", "remote_late")
    rows = [
        ("windows sent to the cloud", f"{sent} ({sent / max(1, windows):.0%})"),
        ("answered / too late for fusion", f"{answered} / {late}"),
        ("answers corrected afterwards", str(_count(status, "fusion", "revisions"))),
    ]
    dropped = labelled(status["uplink"].counters, "dropped", "reason")
    if dropped:
        rows.append(("not answered, by reason", ", ".join(f"{reason} {count}" for reason, count in dropped.items())))
    lags = labelled(status["fusion"].counters, "lag", "windows")
    if lags:
        shown = ", ".join(
            f"{lag}: {count}" for lag, count in sorted(lags.items(), key=lambda item: int(item[0].rstrip("+")))
        )
        rows.append(("lag of remote results, in windows", shown))
    bytes_sent, frames_sent = _count(status, "uplink", "bytes_sent"), _count(status, "uplink", "frames_sent")
    rows.append(("bytes sent", f"{bytes_sent / 1e6:.2f} MB"))
    if frames_sent and outcome.frames:
        everything = bytes_sent / frames_sent * outcome.frames
        rows.append(("saved, against every frame once, same codec", f"{1 - bytes_sent / everything:.1%}"))
    return rows


def _processes(outcome: Outcome) -> Table:
    rows = []
    for name, usage in outcome.usage.items():
        ready_s = outcome.ready_s.get(name)
        rows.append(
            (
                name,
                f"{usage.cpu_share:.1%}",
                f"{usage.peak_mb:.0f}",
                f"{ready_s:.2f}" if ready_s is not None else "-",
                outcome.restarts.get(name, 0),
            )
        )
    return plain_table("Processes", ("", "of one core", "MB (RSS)", "ready after s", "restarts"), rows)


def _count(statuses: dict[str, Status], process: str, name: str) -> int:
    return statuses[process].counters.get(name, 0) if process in statuses else 0


def _ms(histogram: Histogram, q: float) -> str:
    value = histogram.percentile(q)
    return "-" if value is None else f"{value / 1e6:.1f}"
