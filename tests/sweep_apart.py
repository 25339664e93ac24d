"""A sweep that goes on for long, for a test that kills it: `python -m tests.sweep_apart FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

from clownfish.evaluation.paper import methods
from clownfish.evaluation.paper.sweep import Bench, Setting, sweep


def main() -> None:
    from tests.paper_context import small_context  # torch: workers, which import this module, need none

    context = small_context(Path(sys.argv[1]))
    bench = Bench(context.streams, {methods.COSINE: context.rho(methods.COSINE)}, context.models.fusion)
    print("begun", flush=True)
    sweep(bench, [Setting.of(methods.COSINE, n_w, 4) for n_w in range(1, 100_000)], processes=2)


if __name__ == "__main__":
    main()
