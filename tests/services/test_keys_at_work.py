"""Services with keys: what the uplink says where it is not let in, and that it comes in when that is mended."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from clownfish.errors import ConfigError
from clownfish.keys import Key, KeyFolder
from clownfish.protocol import FrameData, Frames, Hello, Ping, WindowRequest
from tests.graph.harness import Endpoints, Material, Tree, cloud_tree, edge_tree, until
from tests.keyrings import keyring
from tests.services.harness import Collector, neighbour, serving


def tree_with_key(run_dir: Path, material: Material, at: Endpoints, key: Path, router: str) -> Tree:
    tree = edge_tree(run_dir, material, at)
    tree["uplink"] |= {"key": str(key), "router_key": router}
    return tree


async def test_an_uplink_that_is_refused_says_why_and_comes_in_when_it_is_authorized(
    run_dir: Path, local_only: Material, tmp_path: Path
) -> None:
    keys, at = keyring(tmp_path / "keys"), Endpoints.tcp()
    door = keys.device("door", authorized=False)
    tree = tree_with_key(run_dir, local_only, at, keys.secret("door"), keys.router.public)
    async with neighbour() as bus, serving("uplink", tree) as process:
        revoked: list[Key] = []

        def on_revoked(key: Key) -> None:
            revoked.append(key)
            router.cut(key.public.encode())

        guard = bus.guard(KeyFolder(keys.folder), on_revoked)
        router = bus.router(at.control, "control", (Hello, Ping), max_bytes=1000, insecure=False)
        bus.router(at.data, "data", (FrameData, Frames, WindowRequest), max_bytes=1000, insecure=False)
        process.spawn(guard.run())
        said = Collector(router)
        await until(lambda: "refuses this device's key" in process.text, "it says why", 20)
        assert re.search(rf"{re.escape(door.own.public)} \('door'\).*clownfish keys authorize", process.text)
        assert said.messages == []
        keys.authorize(door.own)
        await until(lambda: bool(said.messages), "it comes in", 20)
        peer, hello = said.messages[0]
        assert isinstance(hello, Hello)
        assert router.device(peer) == door.own.public.encode()
        keys.revoke("door")
        await until(lambda: revoked == [Key("door", door.own.public)], "it is revoked", 5)
        await until(lambda: "or revoked" in process.text, "it says so", 20)
        said.close()


async def test_a_secret_key_that_others_may_read_is_not_used(
    run_dir: Path, local_only: Material, tmp_path: Path
) -> None:
    keys = keyring(tmp_path / "keys")
    keys.device("door")
    keys.secret("door").chmod(0o644)
    tree = tree_with_key(run_dir, local_only, Endpoints.tcp(), keys.secret("door"), keys.router.public)
    with pytest.raises(ConfigError, match=r"expected user .* and mode 600"):
        async with serving("uplink", tree):
            pass


async def test_a_router_beyond_its_host_wants_keys_or_to_be_told(run_dir: Path, tmp_path: Path) -> None:
    local = Endpoints.tcp()
    wide = Endpoints(*(each.replace("127.0.0.1", "0.0.0.0") for each in (local.control, local.data, local.workers)))
    tree = cloud_tree(run_dir, "zoo:shapes/remote", wide)
    with pytest.raises(ConfigError, match=r"without authentication; give \[router\] keys"):
        async with serving("router", tree):
            pass
    tree["router"]["keys"] = str(keyring(tmp_path / "keys").folder)
    async with serving("router", tree, name="again") as process:
        assert process.state == "ready"


@pytest.mark.parametrize("section", ["uplink", "worker"])
async def test_no_frame_goes_beyond_the_host_without_a_key_unless_told_to(
    section: str, run_dir: Path, local_only: Material
) -> None:
    far = Endpoints("tcp://192.0.2.1:7100", "tcp://192.0.2.1:7101", "tcp://192.0.2.1:7102")
    tree = {**edge_tree(run_dir, local_only, far), **cloud_tree(run_dir, local_only.remote, far)}
    with pytest.raises(ConfigError, match=rf"\[{section}\] has no key, and tcp://192\.0\.2\.1:.* insecure = true"):
        async with serving(section, tree):
            pass
    tree[section]["insecure"] = True
    async with serving(section, tree, name="again") as process:
        assert process.state == "ready"


@pytest.mark.parametrize(
    ("section", "change", "why"),
    [
        ("uplink", {"key": "door.key"}, "key and router_key go together"),
        ("router", {"keys": "keys", "data": "ipc:///x"}, "both tcp:// or both ipc://"),
    ],
)
async def test_half_of_a_configuration_is_said(
    section: str, change: dict[str, str], why: str, run_dir: Path, local_only: Material
) -> None:
    tree = {**edge_tree(run_dir, local_only, Endpoints.tcp()), **cloud_tree(run_dir, "x", Endpoints.tcp())}
    tree |= {"streams": edge_tree(run_dir, local_only, None)["streams"]}
    tree[section] = {**tree[section], **change}
    with pytest.raises(ConfigError, match=why):
        async with serving("uplink", tree):
            pass
