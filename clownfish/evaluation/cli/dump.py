"""`clownfish eval dump`: both models over streams once, so that any method can be replayed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clownfish.evaluation.cli.options import (
    CodecName,
    Data,
    DatasetName,
    DatasetOption,
    DeviceName,
    Discard,
    DumpFolder,
    Local,
    Pair,
    Part,
    PrecisionName,
    Remote,
    Root,
    Videos,
    chosen_set,
    settings_of,
)


def dump(
    videos: Videos = None,
    data: Data = "",
    part: Part = "",
    dataset: DatasetName = "",
    root: Root = None,
    option: DatasetOption = None,
    pair: Pair = "",
    local: Local = "",
    remote: Remote = "",
    discard: Discard = "",
    codec: CodecName = "jpeg",
    dumps: DumpFolder = Path("runs/dumps"),
    jobs: Annotated[int, typer.Option(min=1, max=256, help="Streams side by side, a process each.")] = 1,
    device: DeviceName = "auto",
    precision: PrecisionName = "fp32",
) -> None:
    """Run both models, and early discard's, over every window of the streams, and keep what they say.

    What is there is not made again; what was broken off goes on.
    """
    from rich.console import Console

    from clownfish.evaluation.cli.progress import WindowsBar
    from clownfish.evaluation.jobs import dump_all
    from clownfish.evaluation.recorder import Recorder

    chosen = chosen_set(videos, data, part, dataset, root, option or (), pair)
    settings = settings_of(chosen, local, remote, discard, codec, device, precision).record
    recorder = Recorder(settings, dumps)
    expected = {}
    for source, truth in chosen.sources.items():  # what cannot be used shows before the models' minutes on the others
        recorder.check(source, truth)
        expected[source] = recorder.expected_windows(source)
    console = Console(stderr=True)
    with WindowsBar(console, expected) as bar:
        for done in dump_all(settings, dumps, chosen.sources, jobs, bar.window):
            bar.done(done.source)
            console.print(str(done), markup=False, highlight=False, soft_wrap=True)
