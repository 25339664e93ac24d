"""The same windows through Ray Serve's handle: `python -m clownfish.lab.ray_serve MODEL BATCH SOURCE REPLICAS CORES`.

A replica decodes a window's JPEG frames and runs the model, as a worker does. It keeps itself to CORES (0,1,…), where
the workers would be; Ray's own processes (raylet, GCS, the proxy) and this driver run where the load does.
"""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from typing import Any

from clownfish.lab.asking import code
from clownfish.lab.bare import WINDOWS
from clownfish.lab.driven import obey
from clownfish.lab.workload import HEIGHT, WIDTH, read_windows


def main(name: str, batch: int, source: str, replicas: int, cores: set[int]) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_raylet_start_wait_time_s", "120")
    import ray
    from ray import serve

    ray.init(
        num_cpus=replicas + 1,
        include_dashboard=False,
        object_store_memory=128 << 20,
        log_to_driver=False,
        configure_logging=False,
    )
    in_flight = 2 * batch * replicas

    class Remote:
        def __init__(self) -> None:
            from clownfish.codecs.jpeg import Jpeg
            from clownfish.models.load import load_model

            os.sched_setaffinity(0, cores)
            self._codec = Jpeg()
            self._model = load_model(name)

        # Ray has no types that are looked at here
        @serve.batch(max_batch_size=batch, batch_wait_timeout_s=0.0)  # type: ignore[untyped-decorator]
        async def __call__(self, windows: list[list[bytes]]) -> list[Any]:
            frames = [[self._codec.decode(data, WIDTH, HEIGHT) for data in window] for window in windows]
            return list(self._model.infer(frames).p)

    deployment = serve.deployment(
        num_replicas=replicas, ray_actor_options={"num_cpus": 1}, max_ongoing_requests=2 * batch
    )(Remote)
    handle = serve.run(deployment.bind(), route_prefix=None)
    coded = code(read_windows(source, WINDOWS))

    def measure(seconds: float) -> float:
        waiting = deque(handle.remote(coded[i % len(coded)]) for i in range(in_flight))
        waiting.popleft().result()
        begin, done = time.monotonic(), 0
        while (now := time.monotonic()) < begin + seconds:
            waiting.append(handle.remote(coded[done % len(coded)]))
            waiting.popleft().result()
            done += 1
        for each in waiting:
            each.result()
        return done / (now - begin)

    try:
        obey(measure)
    finally:
        serve.shutdown()
        ray.shutdown()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), {int(core) for core in sys.argv[5].split(",")})
