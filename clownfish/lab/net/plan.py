"""How a profile becomes a network on this machine: which backend, and each command in order (pure: text only).

Three backends. `netem`: htb and netem at both ends of a veth pair. `tbf`: token buckets there, for a profile that does
no more than cap the rate. `link`: a process of ours between two TUN devices, which needs nothing else of the
kernel.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

from clownfish.errors import ConfigError
from clownfish.lab.net import tc

if TYPE_CHECKING:  # it would load pydantic into the link's process
    from clownfish.lab.net.profile import Profile
    from clownfish.lab.net.shape import Phase

Backend = Literal["netem", "tbf", "link"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)
Place = Literal["edge", "cloud", "box"]

DEVICE = "cf0"
"""Of the link, at both its ends."""
EDGE_ADDRESS, CLOUD_ADDRESS = "10.67.0.1", "10.67.0.2"
_EDGE_MAC, _CLOUD_MAC = "02:cf:00:00:00:01", "02:cf:00:00:00:02"
EDGE, CLOUD = "{edge}", "{cloud}"
"""In a step: the path of that namespace."""

MAX_DEVICE = 15
"""Characters of an interface's name, by the kernel."""

NEEDS: dict[Backend, tuple[str, ...]] = {
    "netem": ("namespaces", "veth", "htb", "netem"),
    "tbf": ("namespaces", "veth", "tbf"),
    "link": ("namespaces", "tun"),
}
CAPABILITIES = ("namespaces", "veth", "tun", "tbf", "htb", "netem", "ifb")


@dataclass(frozen=True)
class Capabilities:
    """What a machine can do: `missing` says of each capability that it lacks why."""

    missing: Mapping[str, str] = field(default_factory=dict)

    def lacks(self, needed: tuple[str, ...]) -> str:
        """Why these are not all there, empty where they are."""
        return "; ".join(self.missing[name] for name in needed if name in self.missing)


@dataclass(frozen=True)
class Step:
    """One command: where, and when for those that change a running network."""

    place: Place
    argv: tuple[str, ...]
    at_s: float = 0.0
    stays: bool = False
    """It is a process that runs as long as the network does."""

    def __str__(self) -> str:
        when = f"after {self.at_s:g} s  " if self.at_s else ""
        return f"{when}{self.place}$ {shlex.join(self.argv)}{' &' if self.stays else ''}"


@dataclass(frozen=True)
class Plan:
    """The whole way from nothing to the network."""

    backend: Backend
    why: str
    steps: tuple[Step, ...]
    changes: tuple[Step, ...] = ()
    """Of tc, each at its time; after `period_s` they come again. The link of our own keeps the time itself."""
    period_s: float | None = None


def plan(profile: Profile, capabilities: Capabilities, backend: Backend | None = None) -> Plan:
    """The steps for this profile here; `backend` asks for one in particular.

    Raises ConfigError where the machine can do none of them, or the profile is too much for the one asked for.
    """
    if backend is None:
        backend, why = _choose(profile, capabilities)
    else:
        why = "as asked"
        objection = _objection(profile, capabilities, backend)
        if objection:
            raise ConfigError(f"backend {backend}: {objection}")
    if backend == "link":
        command = ("python", "-m", "clownfish.lab.net.link", EDGE, CLOUD)
        return Plan(backend, why, (Step("box", command, stays=True), *_addresses()))
    joined = ("ip", "link", "add", DEVICE, "address", _EDGE_MAC, "type", "veth")
    peer = ("peer", "name", DEVICE, "address", _CLOUD_MAC, "netns", CLOUD)
    steps = [Step("edge", joined + peer)]
    # Packets as they are on a wire: without this the kernel passes them in heaps of 64 kB, lost or kept as one.
    steps += [Step(place, ("ip", "link", "set", "dev", DEVICE, "gso_max_segs", "1")) for place in _ENDS]
    first = profile.timeline.phases[0]
    for place in _ENDS:
        shape = first.up if place == "edge" else first.down
        if backend == "tbf":
            added = tc.tbf_added(DEVICE, shape)
        else:
            added = tc.netem_added(DEVICE, shape, changes=not profile.timeline.steady)
        steps += [Step(place, argv) for argv in added]
    timeline = profile.timeline
    changes: list[Step] = []
    period_s = None
    if timeline.by == "time":
        for at_s, phase in zip(timeline.starts()[1:], timeline.phases[1:], strict=True):
            changes += _changed(phase, at_s)
        if timeline.repeat and not timeline.steady:
            period_s = timeline.period_s
            changes += _changed(first, period_s)
    return Plan(backend, why, (*steps, *_addresses(), *_neighbours()), tuple(changes), period_s)


def steps_to_phase(phase: Phase) -> list[Step]:
    """For netem: into this phase at once, whatever it was before."""
    return _changed(phase, 0.0)


def ifb_of(device: str) -> str:
    """The device that shapes what comes in by `device`."""
    return f"cf-{device}"[:MAX_DEVICE]


def plan_interface(device: str, profile: Profile, capabilities: Capabilities) -> Plan:
    """The steps that shape a real interface: what goes out as `up`, what comes in as `down`, by the kernel alone.

    Raises ConfigError where the kernel cannot.
    """
    backend: Backend = "tbf" if _caps_only(profile) else "netem"
    lacks = capabilities.lacks((*NEEDS[backend][2:], "ifb"))
    if lacks:
        raise ConfigError(f"profile {profile.name!r} on {device}: {lacks}; capped-5 and its like need only tbf")
    timeline, ifb = profile.timeline, ifb_of(device)
    first = timeline.phases[0]
    steps: list[tc.Argv] = []
    if not timeline.steady or not first.down.plain:
        steps += tc.ingress_redirected(device, ifb)
    for each, shape in ((device, first.up), (ifb, first.down)):
        if backend == "tbf":
            steps += tc.tbf_added(each, shape)
        else:
            steps += tc.netem_added(each, shape, changes=not timeline.steady)
    return Plan(backend, "a real interface", tuple(Step("box", argv) for argv in steps))


def interface_to_phase(device: str, phase: Phase) -> list[Step]:
    """For netem: the interface into this phase at once."""
    changed = (*tc.netem_changed(device, phase.up), *tc.netem_changed(ifb_of(device), phase.down))
    return [Step("box", argv) for argv in changed]


_ENDS: tuple[Place, ...] = ("edge", "cloud")


def _addresses() -> tuple[Step, ...]:
    steps = []
    for place, own, other in (("edge", EDGE_ADDRESS, CLOUD_ADDRESS), ("cloud", CLOUD_ADDRESS, EDGE_ADDRESS)):
        for argv in (
            ("ip", "link", "set", "dev", "lo", "up"),
            ("ip", "link", "set", "dev", DEVICE, "addrgenmode", "none"),  # no IPv6 of its own: nobody else speaks here
            ("ip", "address", "add", own, "peer", other, "dev", DEVICE),
            ("ip", "link", "set", "dev", DEVICE, "up"),
        ):
            steps.append(Step("edge" if place == "edge" else "cloud", argv))
    return tuple(steps)


def _neighbours() -> tuple[Step, ...]:
    """Each knows the other's address: a question lost on a device that is just coming up costs a second."""

    def known(address: str, mac: str) -> tuple[str, ...]:
        return ("ip", "neighbour", "replace", address, "lladdr", mac, "dev", DEVICE)

    return Step("edge", known(CLOUD_ADDRESS, _CLOUD_MAC)), Step("cloud", known(EDGE_ADDRESS, _EDGE_MAC))


def _changed(phase: Phase, at_s: float) -> list[Step]:
    steps = [Step("edge", argv, at_s) for argv in tc.netem_changed(DEVICE, phase.up)]
    return steps + [Step("cloud", argv, at_s) for argv in tc.netem_changed(DEVICE, phase.down)]


def _caps_only(profile: Profile) -> bool:
    first = profile.timeline.phases[0]
    shapes = (first.up, first.down)
    return (
        profile.timeline.steady
        and any(shape.caps_only for shape in shapes)
        and all(shape.caps_only or shape.plain for shape in shapes)
    )


def _choose(profile: Profile, capabilities: Capabilities) -> tuple[Backend, str]:
    if _caps_only(profile) and not capabilities.lacks(NEEDS["tbf"]):
        return "tbf", "the profile only caps the rate"
    why_not_netem = capabilities.lacks(NEEDS["netem"])
    if not why_not_netem:
        return "netem", "the kernel has it"
    why_not_link = capabilities.lacks(NEEDS["link"])
    if why_not_link:
        raise ConfigError(
            f"no way to make the network {profile.name!r} here: by the kernel: {why_not_netem}; by a link of our own: "
            f"{why_not_link}"
        )
    return "link", why_not_netem


def _objection(profile: Profile, capabilities: Capabilities, backend: Backend) -> str:
    lacks = capabilities.lacks(NEEDS[backend])
    if not lacks and backend == "tbf" and not _caps_only(profile):
        return f"it only caps a rate, and profile {profile.name!r} does more: use netem or link"
    return lacks
