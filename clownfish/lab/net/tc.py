"""A shape as arguments of tc, the kernel's own traffic control (pure: text only)."""

from __future__ import annotations

import math

from clownfish.lab.net.shape import WIRE_BYTES, Shape

ROOT = "cf01:"
"""Handle of what we put at a device's root: by it we know it for ours."""
_CLASS, _LEAF = f"{ROOT}1", "cf02:"
_UNCAPPED = "10gbit"
_UNCAPPED_MBIT = 1000.0
"""What a device without a cap may carry, for the size of the queue that a delay needs."""
_BURST_S = 0.004
Argv = tuple[str, ...]


def netem_added(device: str, shape: Shape, *, changes: bool) -> list[Argv]:
    """htb for the rate, netem below it for the rest. `changes`: the shape is going to, so both must be there."""
    if changes or shape.rate_mbit is not None:
        return [
            _qdisc("add", device, "root", "handle", ROOT, "htb", "default", "1"),
            ("tc", "class", "add", "dev", device, "parent", ROOT, "classid", _CLASS, *_htb(shape)),
            _qdisc("add", device, "parent", _CLASS, "handle", _LEAF, *_netem(shape)),
        ]
    return [] if shape.plain else [_qdisc("add", device, "root", "handle", ROOT, *_netem(shape))]


def netem_changed(device: str, shape: Shape) -> list[Argv]:
    """After `netem_added` with `changes`."""
    return [
        ("tc", "class", "change", "dev", device, "parent", ROOT, "classid", _CLASS, *_htb(shape)),
        _qdisc("change", device, "parent", _CLASS, "handle", _LEAF, *_netem(shape)),
    ]


def tbf_added(device: str, shape: Shape) -> list[Argv]:
    """A token bucket, for a shape that only caps the rate."""
    if shape.rate_mbit is None:
        return []
    burst = max(2 * WIRE_BYTES, math.ceil(shape.rate_mbit * 1e6 / 8 * _BURST_S))
    limits = ("burst", str(burst), "limit", str(shape.queue_bytes))
    return [_qdisc("add", device, "root", "handle", ROOT, "tbf", "rate", _rate(shape), *limits)]


def ingress_redirected(device: str, ifb: str) -> list[Argv]:
    """What comes in by the device passes through `ifb` first, which can be shaped as what goes out is."""
    match = ("protocol", "all", "prio", "1", "u32", "match", "u32", "0", "0")
    action = ("action", "mirred", "egress", "redirect", "dev", ifb)
    return [
        ("ip", "link", "add", ifb, "type", "ifb"),
        ("ip", "link", "set", "dev", ifb, "up"),
        _qdisc("add", device, "handle", "ffff:", "ingress"),
        ("tc", "filter", "add", "dev", device, "parent", "ffff:", *match, *action),
    ]


def _qdisc(verb: str, device: str, *rest: str) -> Argv:
    return ("tc", "qdisc", verb, "dev", device, *rest)


def _rate(shape: Shape) -> str:
    return _UNCAPPED if shape.rate_mbit is None else f"{shape.rate_mbit:g}mbit"


def _htb(shape: Shape) -> Argv:
    return ("htb", "rate", _rate(shape), "ceil", _rate(shape), "quantum", str(WIRE_BYTES))


def _netem(shape: Shape) -> Argv:
    words: list[str] = []
    if shape.delay_ms:
        words += ["delay", f"{shape.delay_ms:g}ms"]
        if shape.jitter_ms:
            words.append(f"{shape.jitter_ms:g}ms")
    if shape.loss:
        words += ["loss", f"{100 * shape.loss:g}%"]
    if shape.reorder:
        words += ["reorder", f"{100 * shape.reorder:g}%"]
    return ("netem", *words, "limit", str(_limit(shape)))


def _limit(shape: Shape) -> int:
    """netem's queue, in packets, holds what waits and what is under way."""
    rate_mbit = _UNCAPPED_MBIT if shape.rate_mbit is None else shape.rate_mbit
    waiting = 0 if shape.rate_mbit is None else shape.queue_bytes
    under_way = rate_mbit * 1e6 / 8 * (shape.delay_ms + shape.jitter_ms) / 1000
    return max(1000 if shape.rate_mbit is None else 1, math.ceil((waiting + under_way) / WIRE_BYTES))
