"""Key files, the router's folder of keys, and the commands that write them."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from clownfish.bus import new_pair
from clownfish.cli.app import app
from clownfish.errors import ConfigError
from clownfish.keys import Key, KeyFolder, read_key, read_public, read_secret, write_key


def keys(*arguments: object) -> str:
    """Run `clownfish keys …`; its output. What a user can mend is raised."""
    result = CliRunner().invoke(app, ["keys", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A router's folder in which `door` is authorized."""
    place = tmp_path / "keys"
    keys("new", "router", "--folder", place)
    keys("new", "door", "--folder", tmp_path / "device")
    keys("authorize", tmp_path / "device" / "door.pub", "--folder", place)
    return place


@pytest.fixture
def door(tmp_path: Path, folder: Path) -> Key:
    return read_secret(tmp_path / "device" / "door.key")


def test_a_key_comes_back_as_it_was_written(tmp_path: Path) -> None:
    for number in range(20):  # Z85 has many odd characters
        key = Key("door", *new_pair(), role="worker")
        write_key(tmp_path / f"{number}.key", key)
        assert read_secret(tmp_path / f"{number}.key") == key
        assert read_public(key.public) == key.public


def test_a_secret_is_its_owners_alone_and_never_shown(tmp_path: Path, door: Key) -> None:
    path = tmp_path / "device" / "door.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert door.secret not in repr(door)
    assert read_key(tmp_path / "device" / "door.pub").secret == ""
    for mode in (0o640, 0o604, 0o620):
        path.chmod(mode)
        with pytest.raises(ConfigError, match=rf"mode {mode:o}; expected user \d+ and mode 600"):
            read_secret(path)


def test_zero_mqs_own_tools_read_a_key_file(tmp_path: Path, door: Key) -> None:
    from zmq.auth import load_certificate

    assert load_certificate(tmp_path / "device" / "door.key") == (door.public.encode(), door.secret.encode())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "expected public-key"),
        ('public-key = "short"', "read 5 characters"),
        ('public-key = "' + "~" * 40 + '"', "expected public-key"),
        ('role = "king"\npublic-key = "' + "a" * 40 + '"', "role 'king'; known: edge, worker"),
        ('public-key = "' + "a" * 40 + '"\nsecret-key = "no"', "expected secret-key"),
        ("\0" * 100_000, "expected public-key"),
    ],
)
def test_a_file_that_is_no_key_is_refused_in_words(text: str, why: str, tmp_path: Path) -> None:
    path = tmp_path / "x.pub"
    path.write_text(text)
    with pytest.raises(ConfigError, match=why):
        read_key(path)


def test_a_public_file_is_no_secret(tmp_path: Path, door: Key) -> None:
    with pytest.raises(ConfigError, match="holds a public key alone"):
        read_secret(tmp_path / "device" / "door.pub")


def test_a_device_is_who_is_authorized_in_its_role(folder: Path, door: Key) -> None:
    it = KeyFolder(folder)
    change = it.reload()
    assert change is not None
    assert [key.name for key in change.added] == ["door"]
    found = it.device(door.public, "edge")
    assert found is not None
    assert (found.name, found.secret) == ("door", "")
    assert it.device(door.public, "worker") is None
    assert it.device(new_pair()[0], "edge") is None
    assert it.device("", "edge") is None


def test_who_is_revoked_is_out_at_the_next_look_and_stays_out(tmp_path: Path, folder: Path, door: Key) -> None:
    it = KeyFolder(folder)
    it.reload()
    assert it.reload() is None
    keys("revoke", "door", "--folder", folder)
    change = it.reload()
    assert change is not None
    assert [key.name for key in change.revoked] == ["door"]
    assert it.device(door.public, "edge") is None
    assert "revoked" in keys("list", "--folder", folder)
    with pytest.raises(ConfigError, match="this key of 'door' was revoked"):
        keys("authorize", tmp_path / "device" / "door.pub", "--folder", folder, "--name", "other")


def test_a_changed_role_revokes_the_old_one(tmp_path: Path, folder: Path, door: Key) -> None:
    it = KeyFolder(folder)
    it.reload()
    keys("authorize", tmp_path / "device" / "door.pub", "--folder", folder, "--role", "worker")
    change = it.reload()
    assert change is not None
    assert [key.role for key in change.revoked] == ["edge"]
    assert it.device(door.public, "edge") is None
    assert it.device(door.public, "worker") is not None


def test_what_others_may_write_lets_nobody_in(folder: Path, door: Key) -> None:
    it = KeyFolder(folder)
    it.reload()
    for path in (folder / "authorized" / "door.pub", folder / "authorized"):
        mode = path.stat().st_mode
        path.chmod(0o777)
        change = it.reload()
        assert change is not None
        assert "others could let themselves in" in change.faults[0]
        assert it.device(door.public, "edge") is None
        path.chmod(mode)
        it.reload()
        assert it.device(door.public, "edge") is not None
    folder.chmod(0o777)
    with pytest.raises(ConfigError, match="others could let themselves in"):
        KeyFolder(folder)


def test_a_folder_that_vanishes_lets_nobody_in(folder: Path, door: Key) -> None:
    it = KeyFolder(folder)
    it.reload()
    (folder / "authorized").rename(folder / "gone")
    it.reload()
    assert it.device(door.public, "edge") is None


def test_a_broken_file_shuts_out_nobody_else(folder: Path, door: Key) -> None:
    (folder / "authorized" / "a.pub").write_text("nonsense")
    (folder / "authorized" / "again.pub").write_text(f'public-key = "{door.public}"')
    it = KeyFolder(folder)
    change = it.reload()
    assert change is not None
    assert len(change.faults) == 2
    assert len(it) == 1


def test_a_key_or_a_name_is_not_taken_twice(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(ConfigError, match="exists; a new key would lock out"):
        keys("new", "router", "--folder", folder)
    keys("new", "door", "--folder", tmp_path / "another")
    with pytest.raises(ConfigError, match=r"'door' is authorized with key .* revoke it first"):
        keys("authorize", tmp_path / "another" / "door.pub", "--folder", folder)
    with pytest.raises(ConfigError, match="no device 'nobody' is authorized; known: door"):
        keys("revoke", "nobody", "--folder", folder)
    with pytest.raises(ConfigError, match="expected letters"):
        keys("new", "../evil", "--folder", folder)


def test_a_folder_without_a_routers_key_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="clownfish keys new router --folder"):
        KeyFolder(tmp_path / "nothing")
