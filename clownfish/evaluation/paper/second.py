"""Another local model for the same streams (§VI-F): one that the user names, or the pair's own given less to look at.

Only the new local model runs; what the remote model and the codec said is taken from the streams' dumps.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from clownfish.codecs import CODECS
from clownfish.evaluation.dump import Dump, dump_path, load_dump, write_dump
from clownfish.evaluation.recorder import Recorder, Say, told
from clownfish.evaluation.recording import record
from clownfish.messages import Pixels
from clownfish.models.base import Inference
from clownfish.models.description import read_description, weights_path
from clownfish.sources import open_source


def weaker(local: str, changes: Mapping[str, int], folder: Path) -> str:
    """The same weights with another input (fewer frames, fewer pixels): a model of its own, in `folder`.

    It is not trained for that input, which is what makes it weak. Raises ModelError.
    """
    description = read_description(local)
    weights = weights_path(local, description)
    tree = json.loads(weights.with_suffix(".json").read_text(encoding="utf-8"))
    path = folder / "-".join([description.name, *(f"{key}-{value}" for key, value in changes.items())])
    tree["input"] |= changes
    tree["name"] = path.name
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(weights, path.with_suffix(weights.suffix))
    path.with_suffix(".json").write_text(json.dumps(tree, indent=2) + "\n", encoding="utf-8")
    return str(path)


class _Answered:
    """The remote model, from a dump: its answers in the order in which they were recorded."""

    def __init__(self, dump: Dump) -> None:
        self.name = dump.header.remote.name
        self.classes = dump.header.classes
        self.window_size = dump.header.size
        self._dump = dump
        self._next = 0

    def infer(self, windows: Sequence[Sequence[Pixels]]) -> Inference:
        p = self._dump.p_remote[self._next : self._next + len(windows)]
        self._next += len(windows)
        return Inference(p=p, feature=p)


def record_beside(recorder: Recorder, source: str, dump: Dump, say: Say) -> Dump:
    """The dump of `source` with the recorder's local model and all else as in `dump`, made where it is not there yet.

    Raises ModelError where the local model does not fit the remote one.
    """
    header = recorder.header(source)
    path = dump_path(recorder.folder, header)
    if path.exists():
        return load_dump(path, header)
    local, _ = recorder.models()
    with closing(open_source(source)) as frames:
        codec = recorder.settings.codec.build(CODECS)
        made = record(header, frames, local, _Answered(dump), codec, told(say, f"{source}: {local.name}"))
    made = replace(made, label=dump.label, p_discard=dump.p_discard, remote_ms=dump.remote_ms)
    write_dump(path, made)
    return made
