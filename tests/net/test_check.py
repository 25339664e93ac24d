"""`clownfish lab check` on real links, and that it finds a network which is not what it should be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clownfish.lab.net import check as checking
from clownfish.lab.net.check import Effort, check
from clownfish.lab.net.network import Network
from clownfish.lab.net.profile import Profile, read_profile
from clownfish.lab.net.shape import Phase, Shape, Timeline
from tests.net.tools import run_cli


def test_a_network_that_is_as_asked_is_said_to_be() -> None:
    done = run_cli("lab", "check", "lan", "dead")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all as asked" in done.stdout
    assert done.stdout.count("well") == 2


def timeline(**shape: float) -> Timeline:
    return Timeline((Phase(up=Shape(**shape), down=Shape()),))  # type: ignore[arg-type]


WRONG: dict[str, tuple[dict[str, float], dict[str, float], set[str]]] = {
    "early": ({"delay_ms": 20}, {"delay_ms": 17}, {"rtt"}),
    "late": ({"delay_ms": 20}, {"delay_ms": 23}, {"rtt"}),
    "fast": ({"rate_mbit": 5}, {"rate_mbit": 6}, {"up"}),
    "slow": ({"rate_mbit": 5}, {"rate_mbit": 4}, {"up"}),
    "lossy": ({"loss": 0.02}, {"loss": 0.1}, {"loss"}),
}
"""Asked for, made in its place, and what must be found wrong."""


def test_a_network_that_is_not_as_asked_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other(Network):
        """Says that it is what was asked for, and is another."""

        def __init__(self, profile: Profile, backend: None) -> None:
            super().__init__(replace(profile, timeline=timeline(**WRONG[profile.name][1])), "link")
            self._asked = profile

        def __enter__(self) -> Network:
            super().__enter__()
            self.profile = self._asked
            return self

    monkeypatch.setattr(checking, "Network", Other)
    asked = [Profile(name, "", timeline(**shape)) for name, (shape, _, _) in WRONG.items()]
    result = check(asked, None, len(asked), lambda checked: None, Effort(1.5, 0.5, 0.8))
    for checked in result:
        assert not checked.well
        wrong = {name for name, finding in checked.findings.items() if not finding.well}
        assert wrong >= WRONG[checked.profile][2], checked  # a busy machine may have more to complain of


def test_a_profile_that_there_is_not_is_an_error_of_its_own() -> None:
    done = run_cli("lab", "check", "wifi")
    assert done.returncode == 2
    assert "unknown network profile 'wifi'; known: abca" in done.stderr
    assert read_profile("abca").name in done.stderr
