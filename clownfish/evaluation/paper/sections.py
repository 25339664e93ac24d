"""The report, section by section, in the order in which it is read.

To add one: a function Context → Section, here or in a file of its own, and its place in SECTIONS. A section that this
data set has not raises Unavailable; the page then says so, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from clownfish.evaluation.paper import methods, record, style
from clownfish.evaluation.paper.base import Table
from clownfish.evaluation.paper.context import Context
from clownfish.evaluation.paper.facts import machine
from clownfish.evaluation.paper.fig7 import LAGS, alone, live, percent
from clownfish.evaluation.paper.judge import gaps, verdicts
from clownfish.evaluation.paper.sweep import Setting, shared


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page: text, then figures with their captions and tables, then tables of its own."""

    title: str
    html: str = ""
    figures: Sequence[str] = ()
    """Names in EXHIBITS. One that is not to be had is replaced by the reason."""
    tables: Sequence[Table] = ()


def setup(context: Context) -> Section:
    """What was run, on what."""
    streams = context.streams
    header = streams[0].dump.header
    identities = [("local", header.local), ("remote", header.remote), ("early discard", header.discard)]
    models = Table(
        ["model", "name", "weights, SHA-256", "description, SHA-256"],
        [
            [role, identity.name, identity.weights_sha256[:16], identity.description_sha256[:16]]
            for role, identity in identities
            if identity is not None
        ],
    )
    each = Table(
        ["stream", "windows", "frames", "contexts", "source, SHA-256"],
        [
            [
                stream.dump.header.stream,
                str(stream.dump.windows),
                str(stream.dump.frames),
                str(len(stream.truth.contexts)),
                stream.dump.header.source_sha256[:16],
            ]
            for stream in streams
        ],
    )
    windows = sum(stream.dump.windows for stream in streams)
    text = (
        f"<p>{escape(context.data.title)}. {len(streams)} streams, {windows} windows of {header.size} frames, one "
        "every "
        f"{header.stride} frames; frames of {header.width}×{header.height}, as {escape(header.codec)} on the wire. "
        f"Both models ran once over every window ({escape(header.precision)}); all methods are replayed over what "
        "they said, "
        f"through the same gate and fusion that run live, with θ = {context.models.fusion.theta:g}.</p>"
        "<p>A frame counts as right if the answer of its window is; the first 8 frames of a context do not count "
        "(§VI-B). "
        "Lag is the number of windows fused since the one that the cloud answers for, when its answer is "
        "applied: at lag 1 "
        "it changes what is said from the second window after on (the authors' published analysis counts that as "
        "lag 2). Intervals are 95 %, by bootstrap over streams.</p>"
    )
    here = Table(["machine", ""], [list(pair) for pair in machine()])
    return Section("What was run", text, tables=[models, each, here])


def claims(context: Context) -> Section:
    """Yes or no, how far, how sure, and why not."""
    rows = []
    for verdict in verdicts(context):
        reason = f'<p class="why"><b>Why:</b> {escape(verdict.reason)}</p>' if verdict.reason else ""
        kind = verdict.word
        rows.append(
            f'<li class="claim"><p><span class="badge {kind}">{kind}</span> {escape(verdict.claim)}</p>'
            f"<p>{escape(verdict.found)}{'' if verdict.sure else ' The interval crosses the bound.'}</p>{reason}</li>"
        )
    cells = {(n_w, lag): gap for n_w, lag, gap in gaps(context)}
    intervals = sorted({n_w for n_w, _ in cells})
    table = Table(
        ["SimiNet, live, less cloud-only, points", *(f"n_w {n_w}" for n_w in intervals)],
        [[f"lag {lag}", *(f"{100 * cells[n_w, lag]:+.1f}" for n_w in intervals)] for lag in LAGS],
    )
    return Section("The paper's claims, here", f'<ol class="claims">{"".join(rows)}</ol>', tables=[table])


def beside(context: Context) -> Section:
    """The paper's numbers and ours. They are of other data and models: what compares is how they lie to each other."""
    found = {name: shared(matrices) for name, matrices in alone(context.streams).items()}
    settings = {lag: Setting.of(methods.SIMINET, 6, lag) for lag in LAGS}
    outcomes = context.outcomes(settings.values())
    fused = {lag: shared(live(outcomes[setting])) for lag, setting in settings.items()}
    edge, cloud = found[style.EDGE].value, found[style.CLOUD].value
    ours = [
        [
            name,
            f"{percent(score.value)} ({percent(score.low)}–{percent(score.high)})",
            _closed(score.value, edge, cloud),
        ]
        for name, score in [
            (style.EDGE, found[style.EDGE]),
            *((f"Clownfish, lag {lag}", score) for lag, score in fused.items()),
            (style.CLOUD, found[style.CLOUD]),
            (style.CLOUD_FIX_MA, found[style.CLOUD_FIX_MA]),
        ]
    ]
    tables = [Table(["ours: n_w = 6, live", "frame accuracy, %", "of the gap closed"], ours)]
    for of, what in ((record.ALL, record.ALL_VIDEOS), (record.SOME, record.SOME_VIDEOS)):
        edge, cloud = (next(each.accuracy for each in of if each.method == name) for name in (style.EDGE, style.CLOUD))
        lines = [[each.method, f"{each.accuracy:.2f}", _closed(each.accuracy, edge, cloud)] for each in of]
        tables.append(Table([f"the paper's: {what}", "accuracy, %", "of the gap closed"], lines))
    text = (
        "<p>The paper measured PKU-MMD with 3D ResNets; here are other videos and smaller models. What compares "
        "is how much of the "
        "gap between edge-only and cloud-only is closed.</p>"
    )
    return Section("The paper's own numbers beside ours", text, tables=tables)


def _closed(accuracy: float, edge: float, cloud: float) -> str:
    return f"{100 * (accuracy - edge) / (cloud - edge):.0f} %" if cloud != edge else "–"


def _figures(title: str, *names: str, text: str = "") -> Callable[[Context], Section]:
    return lambda context: Section(title, text, names)


NETWORK = (
    "<p>Not replayed but run: the real graph, edge and cloud in namespaces of their own with the network of a "
    "profile in between, recorded by <code>clownfish lab run</code>. One run each, in real time, on the machine as it "
    "was. The paper's numbers are of PKU-MMD; a frame comes every 31 ms there, here every 33.</p>"
)

SECTIONS: tuple[Callable[[Context], Section], ...] = (
    claims,
    beside,
    _figures("Accuracy over the filter interval", "fig7"),
    _figures("Why: contexts and moments", "contexts", "moments"),
    _figures("Similarity", "fig2", "fig8"),
    _figures("Models and engines", "fig1"),
    _figures("A fixed moving average", "table3"),
    _figures("Early discard", "discard"),
    _figures("In the network", "fig11", "fig12", "fig13", "table2", "fig14", "fig15", "networks", text=NETWORK),
    _figures("Another local model", "fig9"),
    _figures("Another camera", "fig10"),
    setup,
)
"""What is read first comes first; how it was made, last."""
