"""The doctor: what is broken is named, with what to do; and nothing else is."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import fcntl
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from ctypes.util import find_library
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import typer
from typer.testing import CliRunner

from clownfish.bus import new_pair
from clownfish.checkup import packages
from clownfish.checkup.clock import NOT_BEFORE, clock, is_synchronised
from clownfish.checkup.disk import disk
from clownfish.checkup.everything import examine, read
from clownfish.checkup.finding import Finding, bounded, in_thread
from clownfish.checkup.gpu import gpu, seen_gpu
from clownfish.checkup.link import links
from clownfish.checkup.ports import host_port, ports
from clownfish.checkup.sources import source
from clownfish.cli.doctor import doctor_command
from clownfish.config import validate
from clownfish.keys import Key, write_key
from clownfish.runfolder import LOCK, is_running
from clownfish.settings import Stream
from clownfish.zoo import locate
from tests.disks import small_disk  # noqa: F401 - a fixture
from tests.graph.harness import folder, free_ports
from tests.test_curve import Cloud, guarded, keyring
from tests.videos import write_video

Tree = dict[str, Any]


@dataclass
class Place:
    """A healthy configuration: a video, a model of the zoo, a router with keys that runs; and room to break it."""

    tree: Tree
    folder: Path
    cloud: Cloud
    held: contextlib.ExitStack

    def key(self) -> Path:
        return Path(self.tree["uplink"]["key"])

    def hold_port(self) -> int:
        """A port of this host that somebody listens on."""
        listener = self.held.enter_context(socket.create_server(("127.0.0.1", 0)))
        return int(listener.getsockname()[1])

    def cloud_in_the_box(self, model: str = "zoo:puppets/remote") -> None:
        """The same with a router and a worker of its own, not started yet."""
        control, data, workers = (f"tcp://127.0.0.1:{port}" for port in free_ports(3))
        self.tree["uplink"] = {"control": control, "data": data}
        self.tree["router"] = {"control": control, "data": data, "workers": workers}
        self.tree["worker"] = {"router": workers, "model": model}


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "door.mp4"
    write_video(path, 40)
    return path


@pytest.fixture
def run_dir() -> Iterator[Path]:
    path = folder()
    yield path
    shutil.rmtree(path)


@pytest_asyncio.fixture
async def place(tmp_path: Path, run_dir: Path, video: Path) -> AsyncIterator[Place]:
    keys = keyring(tmp_path / "keys")
    door = keys.device("door")
    async with guarded(keys) as cloud:
        await cloud.known(door)
        tree: Tree = {
            "graph": {"name": "doctor", "run_dir": str(run_dir)},
            "streams": [{"name": "door", "source": str(video)}],
            "local": {"model": "zoo:puppets/local", "device": "cpu"},
            "uplink": {
                "control": cloud.endpoint,
                "data": cloud.endpoint,
                "key": str(keys.secret("door")),
                "router_key": keys.router.public,
                "codec": {"kind": "jpeg"},
            },
            "sinks": [{"name": "answers", "sink": {"kind": "jsonl", "path": str(tmp_path / "out" / "a.jsonl")}}],
        }
        with contextlib.ExitStack() as held:
            yield Place(tree, tmp_path, cloud, held)


async def look(place: Place) -> list[Finding]:
    return await examine(validate(place.tree, "test"), source_s=20)


async def test_a_healthy_configuration_has_no_faults(place: Place) -> None:
    findings = await look(place)
    assert [finding for finding in findings if finding.state == "fault"] == []
    names = {finding.name for finding in findings}
    assert {"python", "clock", "gpu", "source door", "key [uplink]", "link control", "disk sink answers"} <= names
    [control] = [finding for finding in findings if finding.name == "link control"]
    assert "lets 'door' in" in control.said
    assert " ms away" in control.said
    assert not (place.folder / "out").exists(), "the doctor leaves nothing behind"


async def test_a_cloud_in_the_same_file_that_is_not_started_is_no_fault(place: Place) -> None:
    place.cloud_in_the_box()
    findings = await look(place)
    assert [finding for finding in findings if finding.state == "fault"] == []
    assert any(finding.name == "classes" for finding in findings)


def missing_model(place: Place) -> None:
    place.tree["local"]["model"] = str(place.folder / "none.safetensors")


def model_cut_off(place: Place) -> None:
    for suffix in (".json", ".safetensors"):
        shutil.copy(locate("zoo:puppets/local").with_suffix(suffix), place.folder / f"cut{suffix}")
    weights = place.folder / "cut.safetensors"
    os.truncate(weights, weights.stat().st_size - 100)
    place.tree["local"]["model"] = str(weights)


def other_window(place: Place) -> None:
    place.tree["window"] = {"size": 8, "stride": 4}


def classes_differ(place: Place) -> None:
    place.cloud_in_the_box("zoo:ucf9/remote")


def missing_video(place: Place) -> None:
    place.tree["streams"][0]["source"] = str(place.folder / "none.mp4")


def no_video_at_all(place: Place) -> None:
    path = place.folder / "text.mp4"
    path.write_text("not a video")
    place.tree["streams"][0]["source"] = str(path)


def no_camera(place: Place) -> None:
    place.tree["streams"][0]["source"] = "camera:/dev/video-none"


def refused_stream(place: Place) -> None:
    place.tree["streams"][0]["source"] = f"rtsp://user:secret@127.0.0.1:{free_ports(1)[0]}/live"


def missing_key(place: Place) -> None:
    place.key().unlink()


def open_key(place: Place) -> None:
    place.key().chmod(0o644)


def mixed_key(place: Place) -> None:
    write_key(place.key(), Key("door", new_pair()[0], new_pair()[1]))


def worker_key(place: Place) -> None:
    place.tree["uplink"]["key"] = str(place.cloud.keys.secret("gpu"))
    place.cloud.keys.device("gpu", role="worker")


def key_in_the_clear(place: Place) -> None:
    for name in ("key", "router_key"):
        del place.tree["uplink"][name]


def wrong_router_key(place: Place) -> None:
    place.tree["uplink"]["router_key"] = new_pair()[0]


def unknown_device(place: Place) -> None:
    place.tree["uplink"]["key"] = str(place.cloud.keys.secret("stranger"))
    place.cloud.keys.device("stranger", authorized=False)


def dead_router(place: Place) -> None:
    place.tree["uplink"]["data"] = f"tcp://127.0.0.1:{free_ports(1)[0]}"


def port_taken(place: Place) -> None:
    place.tree["page"] = {"listen": f"127.0.0.1:{place.hold_port()}"}


def one_port_twice(place: Place) -> None:
    port = free_ports(1)[0]
    place.tree["page"] = {"listen": f"127.0.0.1:{port}"}
    place.tree["metrics"] = {"listen": f"127.0.0.1:{port}"}


def unwritable_folder(place: Place) -> None:
    (place.folder / "file").write_text("where a folder should be")
    place.tree["record"] = {"folder": str(place.folder / "file" / "record")}


def open_run_folder(place: Place) -> None:
    Path(place.tree["graph"]["run_dir"]).chmod(0o755)


def long_run_folder(place: Place) -> None:
    place.tree["graph"]["run_dir"] = str(place.folder / ("long" * 25))


def missing_secret(place: Place) -> None:
    hook = {"kind": "webhook", "url": "http://127.0.0.1:9/", "secret_file": str(place.folder / "none")}
    place.tree["sinks"].append({"name": "hook", "sink": {**hook, "spool": str(place.folder / "spool")}})


def short_token(place: Place) -> None:
    token = place.folder / "token"
    token.write_text("guess")
    place.tree["page"] = {"listen": f"127.0.0.1:{free_ports(1)[0]}", "token_file": str(token)}


BROKEN: list[tuple[Callable[[Place], None], str, str, str]] = [
    (missing_model, "model [local]", "none.json", "name a model that is there"),
    (model_cut_off, "model [local]", "cut off or damaged", "name a model"),
    (other_window, "model [local]", "windows of 16 frames; [window] size is 8", "name a model"),
    (classes_differ, "classes", "lacks", "two models of one pair"),
    (missing_video, "source door", "none.mp4", "path of a video"),
    (no_video_at_all, "source door", "cannot be opened as a video", "path of a video"),
    (no_camera, "source door", "cannot open camera /dev/video-none", "ls -l /dev/video*"),
    (refused_stream, "source door", "cannot open stream rtsp://***@127.0.0.1", "ffprobe"),
    (missing_key, "key [uplink]", "cannot be read", "clownfish keys new"),
    (open_key, "key [uplink]", "has mode 644", "clownfish keys new"),
    (mixed_key, "key [uplink]", "does not belong to its secret half", "restore both"),
    (worker_key, "key [uplink]", "was made for a worker", "clownfish keys new gpu --role edge"),
    (key_in_the_clear, "link control", "came without", "give it key and router_key"),
    (wrong_router_key, "link control", "is not that router's key", "compare it with router.pub there"),
    (unknown_device, "link control", "refuses this device's key", "clownfish keys authorize"),
    (dead_router, "link data", "Connection refused", "start the router there"),
    (port_taken, "port", "which another program has", "ss -ltnp"),
    (one_port_twice, "port", "both want port", "another port"),
    (unwritable_folder, "disk record", "cannot be written: Not a directory", "make room there"),
    (open_run_folder, "disk run folder", "with mode 755", "chmod 700"),
    (long_run_folder, "disk run folder", "longer than 100 bytes", "short path"),
    (missing_secret, "key sink hook", "No such file", "write it there"),
    (short_token, "key [page] token", "expected 16 or more", "write a long random text"),
]
_MORE = {wrong_router_key: "link data", unknown_device: "link data", key_in_the_clear: "link data"}
_MORE |= {worker_key: "link", mixed_key: "link"}
"""What is broken by the same thing: control and data are one endpoint here, and a router refuses keys as well."""


@pytest.mark.parametrize(("harm", "name", "said", "advice"), BROKEN, ids=[each[0].__name__ for each in BROKEN])
async def test_what_is_broken_is_named_with_what_to_do(
    place: Place, harm: Callable[[Place], None], name: str, said: str, advice: str
) -> None:
    harm(place)
    faults = [finding for finding in await look(place) if finding.state == "fault"]
    named = [each for each in faults if each.name.startswith(name) and said in each.said and advice in each.advice]
    assert named, faults
    also = _MORE.get(harm, name)
    assert [each for each in faults if not each.name.startswith((name, also))] == []
    assert "secret@" not in str(faults)


async def test_a_port_where_something_else_answers_is_no_router(place: Place) -> None:
    place.tree["uplink"]["data"] = f"tcp://127.0.0.1:{place.hold_port()}"
    found = await links(validate(place.tree, "test"), running=False, patience_s=0.5)
    [data] = [finding for finding in found if finding.name == "link data"]
    assert (data.state, "no handshake came within 0.5 s" in data.said) == ("fault", True)
    assert "no router of this release" in data.advice


async def test_what_a_running_graph_holds_is_its_own(place: Place) -> None:
    place.cloud_in_the_box()
    control, data = place.tree["router"]["control"], place.tree["router"]["data"]
    for endpoint in (control, data):
        place.held.enter_context(socket.create_server(host_port(endpoint)))
    place.tree["streams"][0]["source"] = "camera:/dev/video-none"
    taken = [finding for finding in await look(place) if finding.state == "fault"]
    assert {finding.name for finding in taken} > {f"port {host_port(control)[1]}", f"port {host_port(data)[1]}"}
    config = validate(place.tree, "test")
    with (config.run_dir() / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert is_running(config.run_dir())
        assert {finding.state for finding in ports(config, running=True)} == {"ok"}
        assert (await source(config.streams[0], running=True, patience_s=5)).state == "ok"
    assert not is_running(config.run_dir())


def test_a_full_disk_is_a_fault(small_disk: Path) -> None:  # noqa: F811
    with contextlib.suppress(OSError):
        (small_disk / "all").write_bytes(bytes(2 << 20))
    found = disk("record", small_disk / "deep" / "folder", 0.0)
    assert (found.state, "No space left" in found.said, "make room" in found.advice) == ("fault", True, True)


def test_a_missing_package_is_named_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_kafka(name: str) -> ModuleSpec | None:
        return None if name == "aiokafka" else find_spec(name)

    monkeypatch.setattr(packages, "find_spec", without_kafka)
    kafka = {"name": "log", "sink": {"kind": "kafka", "brokers": "127.0.0.1:9092"}}
    tree = {"streams": [{"name": "door", "source": "a.mp4"}], "local": {"model": "zoo:ucf9/local"}, "sinks": [kafka]}
    faults = [each for each in packages.packages(validate(tree, "test")) if each.state == "fault"]
    [found] = faults
    assert "aiokafka is not installed; [[sinks]] 'log'" in found.said
    assert found.advice == "pip install 'clownfish[kafka]'"


def test_every_extra_that_a_configuration_may_need_has_its_modules() -> None:
    config = validate(json.loads(json.dumps(_everything())), "test")
    assert set(packages.extras(config)) <= set(packages.MODULES)
    assert {"kafka", "mqtt", "web", "otel", "ray", "openvino", "onnx", "video"} <= set(packages.extras(config))


def _everything() -> Tree:
    sinks = [
        {"kind": "kafka", "brokers": "h:1"},
        {"kind": "mqtt", "host": "h"},
        {"kind": "parquet", "folder": "f"},
        {"kind": "video", "folder": "f"},
    ]
    return {
        "streams": [{"name": "door", "source": "a.mp4"}],
        "local": {"model": "zoo:ucf9/local", "engine": "openvino"},
        "uplink": {"codec": {"kind": "h264"}},
        "router": {},
        "worker": {"model": "zoo:ucf9/remote", "engine": "onnxruntime"},
        "pool": {"kind": "ray"},
        "page": {},
        "trace": {},
        "sinks": [{"name": sink["kind"], "sink": sink} for sink in sinks],
    }


@pytest.mark.parametrize(("floor", "old"), [("0.1", False), ("999.0", True)])
def test_a_package_older_than_the_metadata_allows_is_too_old(
    monkeypatch: pytest.MonkeyPatch, floor: str, old: bool
) -> None:
    monkeypatch.setattr(packages.metadata, "requires", lambda name: [f"numpy>={floor}", "torch>=9; extra == 'torch'"])
    [_, found] = packages.packages(None)
    assert (found.state == "fault", "numpy" in found.said) == (old, old)


@pytest.mark.parametrize(
    ("now", "synchronised", "state"),
    [
        (datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc), None, "fault"),
        (NOT_BEFORE + datetime.timedelta(days=9000), True, "fault"),
        (NOT_BEFORE + datetime.timedelta(days=1), False, "warning"),
        (NOT_BEFORE + datetime.timedelta(days=1), True, "ok"),
        (NOT_BEFORE + datetime.timedelta(days=1), None, "ok"),
    ],
)
def test_a_clock_that_is_wrong_or_unkept_is_named(
    now: datetime.datetime, synchronised: bool | None, state: str
) -> None:
    [found] = clock(now, synchronised)
    assert found.state == state
    assert bool(found.advice) == (state != "ok")


def test_the_kernel_says_whether_the_clock_is_kept() -> None:
    assert is_synchronised() in (True, False, None)
    [found] = clock(datetime.datetime.now(datetime.timezone.utc), is_synchronised())
    assert found.state != "fault", "NOT_BEFORE is later than now"


@pytest.mark.parametrize("engine", ["torch", "onnxruntime"])
async def test_a_gpu_that_is_asked_for_and_not_there_is_a_fault(engine: str) -> None:
    if seen_gpu():
        pytest.skip("this machine has one")
    local = {"model": "zoo:ucf9/local", "device": "cuda", "engine": engine}
    tree = {"streams": [{"name": "a", "source": "a.mp4"}], "local": local}
    [found] = await gpu(validate(tree, "test"), 60)
    assert (found.state, "device = 'cuda' asks for one" in found.said) == ("fault", True)
    assert "device = 'auto'" in found.advice


async def test_with_onnxruntime_it_is_not_torch_that_must_find_the_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a Jetson: NVIDIA's onnxruntime, and torch from PyPI, which there only exports."""
    (tmp_path / "onnxruntime.py").write_text("def get_available_providers(): return ['TensorrtExecutionProvider']")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{Path(__file__).parents[1]}")
    local = {"model": "zoo:ucf9/local", "device": "cuda", "engine": "onnxruntime", "precision": "fp16"}
    tree = {"streams": [{"name": "a", "source": "a.mp4"}], "local": local}
    [found] = await gpu(validate(tree, "test"), 60, seen="Jetson")
    assert (found.state, found.said) == ("ok", "onnxruntime can use it (Jetson)")


@pytest.mark.skipif(find_library("gstapp-1.0") is None, reason="GStreamer is not installed on this machine")
async def test_a_camera_of_another_rate_is_told_with_the_rate_that_the_models_get() -> None:
    pipeline = "gst:videotestsrc is-live=true ! video/x-raw,width=64,height=48,framerate=15/1"
    found = await source(Stream(name="door", source=pipeline), running=False, patience_s=30)
    assert found.said.startswith("64x48")
    assert "brought to the 30 that the models want" in found.said or found.state == "warning"  # a busy machine


async def test_a_camera_that_refuses_the_password_is_told_so_and_not_the_password() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server:
        url = f"http://ann:swordfish@127.0.0.1:{server.sockets[0].getsockname()[1]}/video"
        found = await source(Stream(name="door", source=url), running=False, patience_s=30)
    assert found.state == "fault"
    assert "401" in found.said
    assert "user and password" in found.advice
    assert "swordfish" not in found.said


async def test_a_source_that_hangs_is_given_up_and_its_process_ended(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:  # takes connections and never says a word
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/video"
        began = time.monotonic()
        found = await source(Stream(name="door", source=url), running=False, patience_s=1.0)
    assert (found.state, "delivers nothing within 1 s" in found.said) == ("fault", True)
    assert time.monotonic() - began < 10


async def test_a_check_that_hangs_is_a_fault_and_holds_nothing_up() -> None:
    began = time.monotonic()
    [found] = await bounded("disk", in_thread(lambda: time.sleep(30) or []), 0.1)
    assert (found.name, found.state) == ("disk", "fault")
    assert "no result within 0.1 s" in found.said
    assert time.monotonic() - began < 10


async def test_a_check_that_fails_itself_says_so_and_the_others_go_on() -> None:
    def check() -> list[Finding]:
        raise KeyError("surprise")

    [found] = await bounded("disk", in_thread(check), 5)
    assert "the check itself failed: KeyError('surprise')" in found.said


def test_every_fault_of_a_file_is_a_finding(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text("[[streams]]\nname = 'a b'\nsource = 'x'\n[local]\nmodel = 'm'\nengin = 'torch'\n")
    config, findings = read(path)
    assert config is None
    assert {each.state for each in findings} == {"fault"}
    assert any("streams.0.name" in each.said for each in findings)
    assert any("local.engin: unknown key" in each.said for each in findings)


def test_the_command_says_it_and_its_exit_status_too(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text("[router]\ncontrol = 'nowhere'\n")
    command = [sys.executable, "-m", "clownfish", "doctor", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, done.stderr
    assert "router.control" in done.stdout
    assert "→ correct it" in done.stdout


def test_programs_are_told_the_same(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text("[router]\ncontrol = 'nowhere'\n")
    app = typer.Typer()
    app.command()(doctor_command)
    done = CliRunner().invoke(app, [str(path), "--json"])
    told = json.loads(done.stdout)
    assert (done.exit_code, told["well"], told["findings"][0]["name"]) == (1, False, "configuration")
    assert {tuple(finding) for finding in told["findings"]} == {("name", "state", "said", "advice")}
