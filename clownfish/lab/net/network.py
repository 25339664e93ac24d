"""A profile made real: two namespaces, `edge` and `cloud`, with the network between them that a plan says.

    with Network(read_profile("lte")) as network:
        run([*network.edge.enter, "ping", network.cloud_address])

Nothing of it outlives this process, however that ends: the namespaces have no names, and the link ends with its socket.
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any

from clownfish.errors import ClownfishError
from clownfish.lab.net.capabilities import capabilities
from clownfish.lab.net.follow import follow
from clownfish.lab.net.namespace import Namespace
from clownfish.lab.net.plan import (
    CLOUD,
    CLOUD_ADDRESS,
    DEVICE,
    EDGE,
    EDGE_ADDRESS,
    Backend,
    Plan,
    Step,
    plan,
    steps_to_phase,
)
from clownfish.lab.net.profile import Profile
from clownfish.lab.net.shape import Phase

_PATIENCE_S = 20.0


@dataclass(frozen=True)
class Traffic:
    """Of one direction since the network's start, on the wire: headers included."""

    bytes_in: int
    """Offered to the link."""
    bytes_out: int
    """Delivered by it; from tc the same as `bytes_in`, less what its queue dropped."""
    packets_in: int
    dropped: int
    """Lost, or the queue was full."""


class Network:
    """See above. `backend` asks for one in particular, `seed` decides which packets are lost."""

    def __init__(self, profile: Profile, backend: Backend | None = None, seed: int = 0) -> None:
        """Raises ConfigError where this machine cannot make it; then nothing has been made."""
        self.profile = profile
        self.plan: Plan = plan(profile, capabilities(), backend)
        self.edge_address, self.cloud_address = EDGE_ADDRESS, CLOUD_ADDRESS
        self._seed = seed
        self._closing = contextlib.ExitStack()
        self._control: socket.socket | None = None
        self._answers: Any = None
        self._following: threading.Thread | None = None
        """Where the profile changes and tc makes it: who tells tc."""
        self._stop = threading.Event()
        self._asking = threading.Lock()

    def __enter__(self) -> Network:
        """Make it. Raises ClownfishError where a step fails; then what was made before is gone."""
        try:
            self.edge = self._new_namespace()
            self.cloud = self._new_namespace()
            for step in self.plan.steps:
                self._do(step)
            self._wait_for_devices()
            self._closing.callback(self._stop_following)
            self.seek(0.0)
        except BaseException:
            self._closing.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def seek(self, t_s: float) -> float:
        """It is t_s of the profile's timeline now. Returns time.monotonic() at its 0."""
        if self.plan.backend == "link":
            state = self._ask({"do": "seek", "t_s": t_s})
            return time.monotonic() - float(state["t_s"])
        timeline = self.profile.timeline
        if not timeline.steady:  # netem: a token bucket is only for what does not change
            self._stop_following()
            self._enter(timeline.at(t_s))
            self._stop = threading.Event()
            arguments = (timeline, self._enter, self._stop, t_s)
            self._following = threading.Thread(target=follow, args=arguments, name="phases", daemon=True)
            self._following.start()
        return time.monotonic() - t_s

    def play_video(self, n: int) -> None:
        """Video n begins, counted from 0: where the profile goes by videos, the next phase does."""
        timeline = self.profile.timeline
        if self.plan.backend == "link":
            self._ask({"do": "video", "n": n})
        elif timeline.by == "video" and not timeline.steady:
            self._enter(timeline.phases[timeline.at_video(n)])

    def traffic(self) -> tuple[Traffic, Traffic]:
        """(up, down), from the link's own counters."""
        if self.plan.backend == "link":
            state = self._ask({"do": "state"})
            return _of_pipe(state["up"]), _of_pipe(state["down"])
        return _of_device(self.edge), _of_device(self.cloud)

    @property
    def link_pid(self) -> int | None:
        """Of the process that is the link, where one is."""
        return self._link.pid if self._control is not None else None

    # -- making it

    def _new_namespace(self) -> Namespace:
        namespace = Namespace()
        self._closing.callback(namespace.close)
        return namespace

    def _do(self, step: Step) -> None:
        paths = {EDGE: self.edge.path, CLOUD: self.cloud.path}
        argv = [paths.get(word, word) for word in step.argv]
        if step.stays:
            self._start_link([sys.executable, *argv[1:]])
        else:
            (self.edge if step.place == "edge" else self.cloud).run(argv)

    def _wait_for_devices(self) -> None:
        """Until both carry packets: the kernel takes up to a second to notice that a veth pair is joined."""
        give_up = time.monotonic() + _PATIENCE_S
        for namespace in (self.edge, self.cloud):
            # a TUN device, which no other end can be missing of, says UNKNOWN
            while (state := namespace.run(["ip", "-br", "link", "show", "dev", DEVICE]).split())[1] == "DOWN":
                if time.monotonic() > give_up:
                    raise ClownfishError(f"the device {DEVICE} is not up after {_PATIENCE_S:g} s: {' '.join(state)}")
                time.sleep(0.02)

    def _start_link(self, argv: list[str]) -> None:
        ours, theirs = socket.socketpair()
        self._closing.callback(ours.close)
        with theirs:
            self._link = subprocess.Popen(argv, stdin=theirs.fileno())
        self._closing.callback(self._end_link, ours)
        ours.settimeout(_PATIENCE_S)
        self._control, self._answers = ours, ours.makefile("rb")
        self._closing.callback(self._answers.close)
        tree = self.profile.timeline.to_tree()
        self._ask({"timeline": tree, "seed": self._seed})

    def _end_link(self, control: socket.socket) -> None:
        with contextlib.suppress(OSError):
            control.shutdown(socket.SHUT_RDWR)
        try:
            self._link.wait(2)
        except subprocess.TimeoutExpired:
            self._link.kill()
            self._link.wait()

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._control is not None  # the plan has a link
        with self._asking:
            try:
                self._control.sendall(json.dumps(request).encode() + b"\n")
                line = self._answers.readline()
            except OSError as error:
                raise ClownfishError(f"the link does not answer ({error}); its process is {self._link.pid}") from error
        if not line:
            raise ClownfishError(
                f"the link's process ended with status {self._link.wait(_PATIENCE_S)}; it says why above"
            )
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise ClownfishError(answer["error"])
        return answer

    def _enter(self, phase: Phase) -> None:
        """By tc: into this phase now."""
        for step in steps_to_phase(phase):
            self._do(step)

    def _stop_following(self) -> None:
        if self._following is not None:
            self._stop.set()
            self._following.join(_PATIENCE_S)


def _of_pipe(counts: dict[str, int]) -> Traffic:
    return Traffic(
        counts["offered_bytes"], counts["delivered_bytes"], counts["offered"], counts["lost"] + counts["overflowed"]
    )


def _of_device(namespace: Namespace) -> Traffic:
    """tc counts what leaves its queue; what it dropped is counted apart, in packets alone."""
    link = json.loads(namespace.run(["ip", "-s", "-j", "link", "show", "dev", DEVICE]))[0]["stats64"]["tx"]
    queues = json.loads(namespace.run(["tc", "-s", "-j", "qdisc", "show", "dev", DEVICE, "root"]))
    dropped = sum(int(queue.get("drops", 0)) for queue in queues[:1])
    return Traffic(int(link["bytes"]), int(link["bytes"]), int(link["packets"]) + dropped, dropped)
