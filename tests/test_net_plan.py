"""The plan, step by step, as text: what a machine with netem does is tested on one without it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from clownfish.errors import ConfigError
from clownfish.lab.net.plan import CAPABILITIES, Capabilities, interface_to_phase, plan, plan_interface
from clownfish.lab.net.profile import Profile, known_profiles, read_profile
from clownfish.lab.net.shape import Phase, Shape, Timeline

EVERYTHING = Capabilities()
NO_NETEM = Capabilities({"netem": "this kernel has no sch_netem"})
ONLY_TUN = Capabilities({name: f"no {name}" for name in CAPABILITIES if name not in ("namespaces", "tun")})
NOTHING = Capabilities(dict.fromkeys(CAPABILITIES, "run as root"))

JOINED = """\
edge$ ip link add cf0 address 02:cf:00:00:00:01 type veth peer name cf0 address 02:cf:00:00:00:02 netns '{cloud}'
edge$ ip link set dev cf0 gso_max_segs 1
cloud$ ip link set dev cf0 gso_max_segs 1
"""
ADDRESSES = """\
edge$ ip link set dev lo up
edge$ ip link set dev cf0 addrgenmode none
edge$ ip address add 10.67.0.1 peer 10.67.0.2 dev cf0
edge$ ip link set dev cf0 up
cloud$ ip link set dev lo up
cloud$ ip link set dev cf0 addrgenmode none
cloud$ ip address add 10.67.0.2 peer 10.67.0.1 dev cf0
cloud$ ip link set dev cf0 up
"""
NEIGHBOURS = """\
edge$ ip neighbour replace 10.67.0.2 lladdr 02:cf:00:00:00:02 dev cf0
cloud$ ip neighbour replace 10.67.0.1 lladdr 02:cf:00:00:00:01 dev cf0
"""


def text(steps: tuple[object, ...]) -> str:
    return "".join(f"{step}\n" for step in steps)


def profile(*phases: Phase, repeat: bool = False) -> Profile:
    return Profile("mine", "", Timeline(phases, repeat))


def test_a_delay_is_netem_at_both_ends_of_a_veth_pair() -> None:
    made = plan(read_profile("lan"), EVERYTHING)
    assert made.backend == "netem"
    assert (
        text(made.steps)
        == JOINED
        + (
            "edge$ tc qdisc add dev cf0 root handle cf01: netem delay 1.5ms limit 1000\n"
            "cloud$ tc qdisc add dev cf0 root handle cf01: netem delay 1.5ms limit 1000\n"
        )
        + ADDRESSES
        + NEIGHBOURS
    )
    assert made.changes == ()


def test_a_rate_beside_other_things_is_htb_with_netem_below() -> None:
    shape = Shape(delay_ms=30, jitter_ms=8, loss=0.02, reorder=0.01, rate_mbit=4, queue_bytes=100_000)
    made = plan(profile(Phase(up=shape, down=Shape())), EVERYTHING)
    limit = math.ceil((100_000 + 4e6 / 8 * 0.038) / 1514)
    assert (
        text(made.steps)
        == JOINED
        + (
            "edge$ tc qdisc add dev cf0 root handle cf01: htb default 1\n"
            "edge$ tc class add dev cf0 parent cf01: classid cf01:1 htb rate 4mbit ceil 4mbit quantum 1514\n"
            "edge$ tc qdisc add dev cf0 parent cf01:1 handle cf02: netem delay 30ms 8ms loss 2% reorder 1% "
            f"limit {limit}\n"
        )
        + ADDRESSES
        + NEIGHBOURS
    )


def test_a_profile_that_only_caps_the_rate_is_a_token_bucket() -> None:
    for capabilities in (EVERYTHING, NO_NETEM):
        made = plan(read_profile("capped-5"), capabilities)
        assert made.backend == "tbf"
        assert made.why == "the profile only caps the rate"
        assert (
            text(made.steps)
            == JOINED
            + (
                "edge$ tc qdisc add dev cf0 root handle cf01: tbf rate 5mbit burst 3028 limit 150000\n"
                "cloud$ tc qdisc add dev cf0 root handle cf01: tbf rate 5mbit burst 3028 limit 150000\n"
            )
            + ADDRESSES
            + NEIGHBOURS
        )


def test_without_netem_a_link_of_our_own_does_it() -> None:
    made = plan(read_profile("lan"), NO_NETEM)
    assert (made.backend, made.why) == ("link", "this kernel has no sch_netem")
    assert text(made.steps) == "box$ python -m clownfish.lab.net.link '{edge}' '{cloud}' &\n" + ADDRESSES


def test_a_profile_that_changes_is_changed_by_tc_at_its_times() -> None:
    made = plan(read_profile("abca"), EVERYTHING)
    assert made.backend == "netem"
    assert (
        "edge$ tc class add dev cf0 parent cf01: classid cf01:1 htb rate 10gbit ceil 10gbit quantum 1514\n"
        "edge$ tc qdisc add dev cf0 parent cf01:1 handle cf02: netem limit 1000\n"
    ) in text(made.steps)
    change = "tc class change dev cf0 parent cf01: classid cf01:1 htb rate 5mbit ceil 5mbit quantum 1514\n"
    assert text(made.changes[4:8]) == (
        f"after 120 s  edge$ {change}"
        "after 120 s  edge$ tc qdisc change dev cf0 parent cf01:1 handle cf02: netem limit 100\n"
        f"after 120 s  cloud$ {change}"
        "after 120 s  cloud$ tc qdisc change dev cf0 parent cf01:1 handle cf02: netem limit 100\n"
    )
    assert made.period_s is None


def test_what_repeats_goes_back_to_its_beginning() -> None:
    made = plan(read_profile("flaky"), EVERYTHING)
    assert {step.at_s for step in made.changes} == {27, 30}
    assert made.period_s == 30
    assert "loss 100%" in text(made.changes[:4])
    assert "loss 2%" in text(made.changes[4:])


def test_what_changes_with_the_video_has_no_times() -> None:
    abca = read_profile("abca")
    made = plan(replace(abca, timeline=replace(abca.timeline, by="video")), EVERYTHING)
    assert made.changes == ()
    assert "htb rate 10gbit" in text(made.steps)  # it is going to be changed


@pytest.mark.parametrize("name", known_profiles())
@pytest.mark.parametrize("capabilities", [EVERYTHING, NO_NETEM, ONLY_TUN])
def test_every_profile_has_a_plan_on_every_machine_that_can_do_anything(name: str, capabilities: Capabilities) -> None:
    made = plan(read_profile(name), capabilities)
    assert made.why
    assert "cf0 up" in text(made.steps)


def test_a_backend_can_be_asked_for() -> None:
    assert plan(read_profile("capped-5"), EVERYTHING, "link").backend == "link"
    assert plan(read_profile("capped-5"), EVERYTHING, "netem").backend == "netem"


@pytest.mark.parametrize(
    ("name", "capabilities", "backend", "says"),
    [
        ("lan", NO_NETEM, "netem", "backend netem: this kernel has no sch_netem"),
        ("lan", EVERYTHING, "tbf", "it only caps a rate, and profile 'lan' does more"),
        ("abca", EVERYTHING, "tbf", "it only caps a rate"),
        ("lan", NOTHING, None, "no way to make the network 'lan' here: .*run as root"),
        ("capped-5", NOTHING, None, "no way to make the network 'capped-5' here"),
    ],
)
def test_what_cannot_be_done_is_said(name: str, capabilities: Capabilities, backend: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        plan(read_profile(name), capabilities, backend)  # type: ignore[arg-type]


def test_a_real_interface_is_shaped_both_ways() -> None:
    made = plan_interface("eth0", read_profile("capped-5"), NO_NETEM)
    assert text(made.steps) == (
        "box$ ip link add cf-eth0 type ifb\n"
        "box$ ip link set dev cf-eth0 up\n"
        "box$ tc qdisc add dev eth0 handle ffff: ingress\n"
        "box$ tc filter add dev eth0 parent ffff: protocol all prio 1 u32 match u32 0 0 action mirred egress redirect "
        "dev cf-eth0\n"
        "box$ tc qdisc add dev eth0 root handle cf01: tbf rate 5mbit burst 3028 limit 150000\n"
        "box$ tc qdisc add dev cf-eth0 root handle cf01: tbf rate 5mbit burst 3028 limit 150000\n"
    )


def test_an_interface_needs_the_kernel_for_more_than_a_cap() -> None:
    with pytest.raises(ConfigError, match="profile 'lan' on eth0: this kernel has no sch_netem"):
        plan_interface("eth0", read_profile("lan"), NO_NETEM)
    assert plan_interface("eth0", read_profile("lan"), EVERYTHING).backend == "netem"


def test_an_interface_whose_profile_changes_has_both_directions_changed() -> None:
    flaky = read_profile("flaky")
    made = plan_interface("eth0", flaky, EVERYTHING)
    for device in ("eth0", "cf-eth0"):
        assert f"tc qdisc add dev {device} parent cf01:1 handle cf02: netem delay 30ms 8ms loss 2%" in text(made.steps)
    outage = text(tuple(interface_to_phase("eth0", flaky.timeline.phases[1])))
    for device in ("eth0", "cf-eth0"):
        assert f"tc qdisc change dev {device} parent cf01:1 handle cf02: netem delay 30ms 8ms loss 100%" in outage
