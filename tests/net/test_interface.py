"""A real interface shaped and let go: one end of a veth pair, in a namespace that has nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import pytest

from clownfish.errors import ClownfishError
from clownfish.lab.net import interface
from clownfish.lab.net.capabilities import capabilities
from clownfish.lab.net.namespace import Namespace
from clownfish.lab.net.plan import NEEDS, Capabilities, Plan, Step, plan_interface
from clownfish.lab.net.profile import Profile, read_profile
from tests.graph.harness import alive
from tests.net.tools import CLI, children, run_cli, until

LACKS = capabilities().lacks((*NEEDS["tbf"], "ifb"))
pytestmark = pytest.mark.skipif(bool(LACKS), reason=LACKS)


@pytest.fixture
def box() -> Iterator[Namespace]:
    namespace = Namespace()
    namespace.run(["ip", "link", "add", "eth7", "type", "veth", "peer", "name", "far"])
    namespace.run(["ip", "link", "set", "dev", "eth7", "up"])
    yield namespace
    namespace.close()


def shaped(box: Namespace) -> bool:
    return "cf01:" in box.run(["tc", "qdisc", "show"]) or "cf-eth7" in box.run(["ip", "link", "show"])


def untouched(box: Namespace) -> bool:
    return "qdisc ingress" not in box.run(["tc", "qdisc", "show"]) and not shaped(box)


def start(box: Namespace, *options: str) -> subprocess.Popen[str]:
    command = [*box.enter, *CLI, "lab", "shape", "eth7", "capped-5", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("eth7 is capped-5 for ")
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interface_is_let_go_however_who_shaped_it_ends(box: Namespace, number: signal.Signals) -> None:
    with start(box) as process:
        queues = box.run(["tc", "qdisc", "show"])
        assert "qdisc tbf cf01: dev eth7 root" in queues
        assert "qdisc tbf cf01: dev cf-eth7 root" in queues
        below = children(process.pid)
        assert len(below) == 1  # the watchdog
        process.send_signal(number)
        until(lambda: untouched(box), f"cleared after signal {number}")
        assert process.stdout is not None
        assert (process.stdout.read() == "eth7 is cleared\n") == (number != signal.SIGKILL)
    until(lambda: not any(map(alive, below)), "the watchdog is gone")
    assert process.returncode == (-number if number == signal.SIGKILL else 0)


def test_the_watchdog_itself_may_be_killed(box: Namespace) -> None:
    with start(box) as process:
        for pid in children(process.pid):
            os.kill(pid, signal.SIGKILL)
        process.send_signal(signal.SIGINT)
    assert untouched(box)


def test_an_interface_is_let_go_when_the_time_is_over(box: Namespace) -> None:
    with start(box, "--seconds", "1"):
        pass
    assert untouched(box)


def test_what_is_not_ours_is_neither_replaced_nor_cleared(box: Namespace) -> None:
    own = ["tbf", "rate", "1mbit", "burst", "5000", "limit", "5000"]
    box.run(["tc", "qdisc", "add", "dev", "eth7", "root", "handle", "7:", *own])
    done = run_cli("lab", "shape", "eth7", "capped-5", inside=box)
    assert done.returncode == 2
    assert "eth7 has a tbf (7:) that is not ours" in done.stderr
    done = run_cli("lab", "clear", "eth7", inside=box)
    assert (done.returncode, done.stdout) == (0, "eth7: nothing of ours to clear\n")
    assert "qdisc tbf 7: dev eth7 root" in box.run(["tc", "qdisc", "show"])
    box.run(["tc", "qdisc", "del", "dev", "eth7", "root"])
    box.run(["tc", "qdisc", "add", "dev", "eth7", "ingress"])
    done = run_cli("lab", "shape", "eth7", "capped-5", inside=box)
    assert "eth7 has an ingress queue that is not ours" in done.stderr
    assert not shaped(box)


@pytest.mark.parametrize(
    ("device", "profile", "says"),
    [
        ("wlan9", "capped-5", "no interface 'wlan9'; there are lo, "),
        ("eth7", "wifi", "unknown network profile 'wifi'; known: abca, capped-5"),
    ],
)
def test_what_cannot_be_shaped_is_said_and_nothing_is_configured(
    box: Namespace, device: str, profile: str, says: str
) -> None:
    done = run_cli("lab", "shape", device, profile, inside=box)
    assert done.returncode == 2
    assert says in done.stderr
    assert untouched(box)


def test_a_step_that_fails_half_way_is_undone(box: Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    def with_a_wrong_end(device: str, profile: Profile, has: Capabilities) -> Plan:
        made = plan_interface(device, profile, has)
        return replace(made, steps=(*made.steps, Step("box", ("ip", "link", "set", "dev", "eth9", "up"))))

    def shape() -> None:
        with interface.shaped("eth7", read_profile("capped-5"), 60):
            raise AssertionError("not reached")

    monkeypatch.setattr(interface, "plan_interface", with_a_wrong_end)
    with pytest.raises(ClownfishError, match="eth9"):
        box.call(shape)
    assert untouched(box)


@pytest.mark.parametrize("command", [("shape", "lo", "capped-5"), ("check", "lan"), ("shape", "lo", "lan")])
def test_who_is_not_root_is_told_so(command: tuple[str, ...]) -> None:
    drop = ["setpriv", "--bounding-set", "-sys_admin,-net_admin", "--inh-caps", "-sys_admin,-net_admin"]
    done = subprocess.run([*drop, *CLI, "lab", *command], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "run as root" in done.stderr
