"""Networks made real: what they do to packets, and that nothing is left of them."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import pytest

from clownfish.errors import ClownfishError, ConfigError
from clownfish.lab.net import echo as echo_module
from clownfish.lab.net.capabilities import capabilities
from clownfish.lab.net.check import judge_echoes
from clownfish.lab.net.echo import MESSAGE_BYTES, Echoes, echo, open_echo
from clownfish.lab.net.namespace import Namespace
from clownfish.lab.net.network import Network
from clownfish.lab.net.plan import NEEDS
from clownfish.lab.net.profile import known_profiles, read_profile
from clownfish.lab.net.shape import HEADER_BYTES
from clownfish.lab.net.stream import datagram_stream, goodput
from tests.graph.harness import alive
from tests.net.tools import made_by, network_namespaces, until

NO_TBF = capabilities().lacks(NEEDS["tbf"])


def steady(measure: Callable[[], float], low: float, high: float) -> None:
    """A rate within bounds: at the third time at the latest, as a machine that stands still empties a queue."""
    rates: list[float] = []
    while not rates or not low <= rates[-1] <= high:
        assert len(rates) < 3, rates
        rates.append(measure())


def echoes(network: Network, count: int = 60, wait_s: float = 1.0) -> Echoes:
    with network.edge.call(open_echo) as opened:
        return echo(opened, network.cloud_address, count, 0.005, wait_s)


def rate(network: Network, seconds: float) -> float:
    """Mbit/s of what arrives of 8, but for the first half a second."""
    begin = time.monotonic()
    arrivals = datagram_stream(network.edge, network.cloud, network.cloud_address, seconds, 8)
    return goodput(arrivals, begin + 0.5, begin + seconds).mbit


@pytest.mark.parametrize("name", known_profiles())
def test_every_profile_can_be_made_and_counts_what_passes(name: str) -> None:
    with Network(read_profile(name)) as network:
        timeline = network.profile.timeline
        start = network.seek(0.0)
        made = echoes(network)
        round_trip, _ = judge_echoes(timeline, made, start)
        assert round_trip.well, round_trip
        up, down = network.traffic()
    dead = name == "dead"
    # a veth pair carries a packet or two of the kernel's own, the link has none
    assert 60 <= up.packets_in < 65
    assert up.bytes_in >= 60 * (MESSAGE_BYTES + HEADER_BYTES)
    assert (made.lost == 60) == dead == (down.bytes_out == 0)


@pytest.mark.parametrize("backend", ["link", "tbf"])
def test_the_rate_is_the_same_by_whatever_makes_it(backend: str) -> None:
    if backend == "tbf" and NO_TBF:
        pytest.skip(NO_TBF)
    with Network(read_profile("capped-5"), backend) as network:  # type: ignore[arg-type]
        assert network.plan.backend == backend
        steady(lambda: rate(network, 1.5), 4.5, 4.9)
        assert network.traffic()[0].dropped > 50


def test_the_link_changes_while_it_runs() -> None:
    with Network(read_profile("abca"), "link") as network:
        after: list[float] = []

        def around() -> float:
            """Before the change; and keep what came after."""
            begin = network.seek(119.0) + 119.0
            arrivals = datagram_stream(network.edge, network.cloud, network.cloud_address, 2.2, 12)
            after.append(goodput(arrivals, begin + 1.4, begin + 2.2).mbit)
            return goodput(arrivals, begin + 0.4, begin + 1.0).mbit if 4.4 <= after[-1] <= 5.0 else math.nan

        steady(around, 6.5, 7.5)


def test_a_network_goes_on_to_the_next_phase_with_the_next_video() -> None:
    profile = read_profile("abca")
    by_video = type(profile)(profile.name, profile.about, type(profile.timeline)(profile.timeline.phases, by="video"))
    with Network(by_video, "link") as network:
        network.play_video(2)
        steady(lambda: rate(network, 1.2), 4.4, 5.0)


def test_echoes_that_came_while_the_sender_stood_still_are_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """It sent what was overdue, found its time to be over, and left with answers unread."""
    made = echo_module._request

    def stands_still(identity: int, number: int) -> bytes:
        if number == 10:
            time.sleep(0.5)  # longer than all of it takes
        return made(identity, number)

    monkeypatch.setattr(echo_module, "_request", stands_still)
    with open_echo() as opened:
        assert echo(opened, "127.0.0.1", 20, 0.005, 0.1).lost == 0


def test_two_networks_at_once_do_not_meet() -> None:
    with Network(read_profile("lan")) as near, Network(read_profile("regional")) as far:
        assert np.median(echoes(near).rtt_ms) < 6
        assert 13 <= np.median(echoes(far).rtt_ms) < 16


def test_a_link_that_was_killed_is_said_to_be_gone() -> None:
    with Network(read_profile("lan"), "link") as network:
        assert network.link_pid is not None
        os.kill(network.link_pid, signal.SIGKILL)
        with pytest.raises(ClownfishError, match="link"):
            network.traffic()


def test_a_step_that_fails_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network(read_profile("lan"), "link")
    wrong = network.plan.steps[-1].__class__("cloud", ("ip", "link", "set", "dev", "cf9", "up"))
    network.plan = network.plan.__class__("link", "", (*network.plan.steps, wrong))
    before = network_namespaces([os.getpid()])
    with pytest.raises(ClownfishError, match=r"ip link set dev cf9 up: .*cf9"):
        network.__enter__()
    assert not alive(network._link.pid)
    assert network_namespaces([os.getpid()]) == before


HOLDER = """
import sys, time
from clownfish.lab.net.network import Network
from clownfish.lab.net.profile import read_profile
with Network(read_profile(sys.argv[1])) as network:
    print(network.link_pid or 0, flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("name", ["lan", "capped-5"])
def test_nothing_is_left_of_a_lab_that_was_killed(name: str) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER, name], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        link_pid = int(process.stdout.readline())
        spaces = made_by(process.pid, [])
        assert len(spaces) == 2
        process.kill()
    until(lambda: not link_pid or not alive(link_pid), "the link ends with who started it")
    until(lambda: not network_namespaces() & spaces, "no namespace is left")


def test_a_command_that_is_not_there_is_named() -> None:
    namespace = Namespace()
    with pytest.raises(ClownfishError, match="no-such-command"):
        namespace.run(["no-such-command"])
    namespace.close()


def test_what_the_kernel_lacks_is_refused_before_anything_is_made() -> None:
    why = capabilities().lacks(NEEDS["netem"])
    if not why:
        pytest.skip("this kernel has netem")
    with pytest.raises(ConfigError, match="sch_netem"):
        Network(read_profile("lan"), "netem")
