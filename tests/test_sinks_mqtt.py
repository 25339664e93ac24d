"""The sink `mqtt` against a real mosquitto: what it says, to whom, and what is lost when the broker is killed."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from clownfish.errors import SinkError
from clownfish.sinks.base import Sink, StreamInfo
from tests.graph.harness import until
from tests.sink_targets import Mosquitto, broker, build, context, count, event, gauge, result, running, subscribed

__all__ = ["broker"]  # a fixture

AWAY_S = float(os.environ.get("CLOWNFISH_BROKER_AWAY_S", "1.5"))
"""How long the broker is away in the test of that; 60 for the long proof."""
FAST = {"retry_s": 0.05, "retry_max_s": 0.4, "timeout_s": 3.0}

aiomqtt = pytest.importorskip("aiomqtt", reason="the extra `mqtt` is not installed")


def mqtt(folder: Path, broker: Mosquitto, tell: Callable[[str], None] = lambda text: None, **options: object) -> Sink:
    """The sink, with a spool below `folder`."""
    return build("mqtt", context(folder, tell=tell), host="127.0.0.1", port=broker.port, **{**FAST, **options})


def told_of(folder: Path) -> list[str]:
    """The streams of which the broker was told, as far as the sink knows."""
    return list(json.loads((folder / "state/mqtt/out.json").read_text()))


async def test_events_states_and_descriptions_reach_who_listens(broker: Mosquitto, tmp_path: Path) -> None:
    async with (
        subscribed(broker) as heard,
        running(mqtt(tmp_path, broker)) as sink,
    ):
        sink.write(event(3, "Archery"))
        await until(lambda: heard.last("clownfish/box/dev00/state") is not None, "a state", 40)
        state = json.loads(heard.last("clownfish/box/dev00/state") or "")
        assert (state["label"], state["active"], state["event"]) == ("Archery", True, "dev00/7/3")
        sink.write(event(3, "Archery", revision=1, state="ended", end_frame=40, end_s=1.3))
        await until(lambda: len(heard.on("/state")) == 2, "the state after it", 40)
        assert heard.on("/state")[-1] | {"label": "idle", "active": False, "event": None} == heard.on("/state")[-1]
        first, second = heard.on("/event")
        assert (first["id"], first["revision"], first["state"], first["end_s"]) == ("dev00/7/3", 0, "ongoing", None)
        assert (second["revision"], second["end_s"]) == (1, 1.3)
        assert first["said_at"].endswith("Z")
        assert heard.last("clownfish/box/availability") == "online"
        described = heard.on("/config")
        assert {each["unique_id"] for each in described} == {
            "clownfish_box_dev00_activity",
            "clownfish_box_dev00_active",
        }
        assert all(each["availability_topic"] == "clownfish/box/availability" for each in described)
        assert described[0]["options"] == sorted(["Archery", "BabyCrawling", "Basketball", "idle"])


async def test_who_comes_later_gets_what_is_retained_and_no_old_events(broker: Mosquitto, tmp_path: Path) -> None:
    async with running(mqtt(tmp_path, broker)) as sink:
        sink.write(event(3))
        await until(lambda: count(sink, "acked") == 1, "the broker has it", 40)
        await until(lambda: not gauge(sink, "spool_messages"), "the state as well", 40)
        async with subscribed(broker) as heard:
            await until(lambda: len(heard.messages) >= 4, "what is retained", 40)
            kinds = sorted(topic.rpartition("/")[2] for topic, _ in heard.messages)
            assert kinds == ["availability", "config", "config", "state"]


async def test_of_a_stream_that_is_gone_nothing_stays_but_what_another_edge_said(
    broker: Mosquitto, tmp_path: Path
) -> None:
    """Home Assistant showed a camera that was removed, with what it saw last, for ever."""
    streams = {"dev00": StreamInfo("a.mp4", 30.0), "dev01": StreamInfo("b.mp4", 30.0)}
    given = replace(context(tmp_path), streams=streams)
    async with aiomqtt.Client("127.0.0.1", broker.port) as other:
        await other.publish("clownfish/box/theirs/state", "{}", qos=1, retain=True)
    async with running(build("mqtt", given, host="127.0.0.1", port=broker.port, **FAST)) as sink:
        async with subscribed(broker) as heard:
            for name in streams:
                sink.write(event(3, stream=name))
            await until(lambda: len(heard.on("/state")) == 3, "both are shown, beside theirs", 40)
            del streams["dev00"]
            sink.write(event(3, stream="dev00", revision=1, state="ended", end_frame=40, end_s=1.3))
            await until(lambda: heard.last("clownfish/box/dev00/state") == "", "its state is taken back", 40)
            assert len(heard.on("/event")) == 3, "its last event is said all the same, before that"
            await until(lambda: told_of(tmp_path) == ["dev01"], "all the rest is taken back", 40)
        async with subscribed(broker) as later:
            await until(lambda: len(later.messages) >= 5, "what is retained", 40)
    about = sorted(topic.removeprefix("homeassistant/") for topic, _ in later.messages)
    assert about == [
        "binary_sensor/clownfish_box_dev01/active/config",
        "clownfish/box/availability",
        "clownfish/box/dev01/state",
        "clownfish/box/theirs/state",
        "sensor/clownfish_box_dev01/activity/config",
    ]


async def test_a_stream_that_went_while_nothing_ran_is_taken_back_at_the_next_start(
    broker: Mosquitto, tmp_path: Path
) -> None:
    said: list[str] = []
    async with running(mqtt(tmp_path, broker)) as sink:
        sink.write(event(3))
        await until(lambda: count(sink, "acked") == 1, "the broker has it", 40)
    given = replace(context(tmp_path, tell=said.append), streams={"dev01": StreamInfo()})
    async with subscribed(broker) as heard, running(build("mqtt", given, host="127.0.0.1", port=broker.port, **FAST)):
        await until(lambda: heard.last("clownfish/box/dev00/state") == "", "it is taken back", 40)
        await until(lambda: told_of(tmp_path) == ["dev01"], "and no more known", 40)
    (tmp_path / "state/mqtt/out.json").write_text("[1")
    async with running(build("mqtt", given, host="127.0.0.1", port=broker.port, **FAST)) as sink:
        await until(lambda: gauge(sink, "connected") == 1, "it goes on without that file", 40)
    assert len(said) == 1
    assert "out.json: cannot be read" in said[0]


async def test_an_orderly_end_says_offline_and_a_killed_process_does_by_its_last_will(
    broker: Mosquitto, tmp_path: Path
) -> None:
    async with subscribed(broker, "clownfish/box/availability") as heard:
        async with running(mqtt(tmp_path, broker)):
            await until(lambda: heard.messages[-1:] == [("clownfish/box/availability", "online")], "online", 40)
        await until(lambda: heard.messages[-1][1] == "offline", "offline", 40)
        program = (
            "import asyncio, sys; from pathlib import Path\n"
            "from clownfish.sinks.base import SinkContext; from clownfish.sinks.mqtt import Mqtt\n"
            "async def main():\n"
            "    given = SinkContext('other', edge='box', state_folder=Path(sys.argv[1]))\n"
            "    await Mqtt('127.0.0.1', int(sys.argv[2]), context=given).run()\n"
            "asyncio.run(main())"
        )
        root = Path(__file__).parents[1]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, str(tmp_path / "other"), str(broker.port), cwd=root
        )
        try:
            await until(lambda: heard.messages[-1][1] == "online", "the other process is online", 30)
        finally:
            process.send_signal(signal.SIGKILL)
            await process.wait()
        await until(lambda: heard.messages[-1][1] == "offline", "its last will", 40)


async def test_who_is_told_to_end_while_it_introduces_itself_says_offline_too(
    broker: Mosquitto, tmp_path: Path
) -> None:
    """It had said `online`, retained, and left without a word: who looked later took it to be there for ever."""
    async with subscribed(broker, "clownfish/box/availability") as heard:
        many = {f"s{n}": StreamInfo() for n in range(3000)}
        sink = build("mqtt", replace(context(tmp_path), streams=many), host="127.0.0.1", port=broker.port, **FAST)
        async with running(sink):
            await until(lambda: heard.messages[-1:] == [("clownfish/box/availability", "online")], "online", 40)
            assert gauge(sink, "connected") == 0
        await until(lambda: heard.messages[-1][1] == "offline", "offline", 40)


async def test_of_a_broker_that_is_killed_and_comes_back_no_event_is_lost_and_all_keep_their_order(
    broker: Mosquitto, tmp_path: Path
) -> None:
    """At least once: a first hearing of each revision, in order; a second one may follow."""
    written: list[tuple[str, int]] = []
    sink = mqtt(tmp_path, broker)

    async def write(number: int, pause_s: float) -> None:
        for n in range(number):
            revision = n % 3
            key = len(written) // 3
            ended = {"state": "ended", "end_frame": 99 + 4 * key, "end_s": 3.3 + key} if revision else {}
            sink.write(event(key, "Archery", revision=revision, **ended))  # type: ignore[arg-type]
            written.append((f"dev00/7/{key}", revision))
            await asyncio.sleep(pause_s)

    async with subscribed(broker, "clownfish/box/dev00/event") as heard, running(sink):
        await write(30, 0.002)
        await until(lambda: len(heard.messages) >= 30, "the first events", 40)
        broker.remember()
        flood = asyncio.ensure_future(write(300, AWAY_S / 300))
        await asyncio.sleep(AWAY_S / 30)
        broker.kill()
        await flood  # most of it while nobody is there
        assert gauge(sink, "spool_messages") > 200
        assert gauge(sink, "connected") == 0
        await write(3, 0)
        broker.start()
        await until(lambda: not gauge(sink, "spool_messages"), "the spool is empty", 30)
        await until(lambda: len({(e["id"], e["revision"]) for e in heard.on("/event")}) == len(written), "all", 40)
        order = list(dict.fromkeys((e["id"], e["revision"]) for e in heard.on("/event")))
        assert order == written
        assert count(sink, 'dropped{reason="spool_full"}') == 0


async def test_a_broker_that_hangs_is_given_up_and_found_again(broker: Mosquitto, tmp_path: Path) -> None:
    sink = mqtt(tmp_path, broker, timeout_s=0.5)
    async with subscribed(broker, "clownfish/box/dev00/event") as heard, running(sink):
        sink.write(event(0))
        await until(lambda: len(heard.messages) == 1, "the first", 40)
        broker.signal(signal.SIGSTOP)
        sink.write(event(1))
        await until(lambda: count(sink, "target_failures") > 0, "it is given up", 40)
        broker.signal(signal.SIGCONT)
        await until(lambda: heard.on("/event")[-1]["id"] == "dev00/7/1", "the second", 40)


async def test_a_broker_that_goes_while_it_owes_an_answer_is_missed_at_once(broker: Mosquitto, tmp_path: Path) -> None:
    """The sink waited for the acknowledgement until its time was over, though the connection was gone."""
    sink = mqtt(tmp_path, broker, timeout_s=120.0)
    async with running(sink):
        await until(lambda: gauge(sink, "connected") == 1, "it is connected", 40)
        broker.signal(signal.SIGSTOP)
        sink.write(event(0))
        await until(lambda: gauge(sink, "spool_messages") == 1, "it waits for the broker", 40)
        broker.signal(signal.SIGKILL)
        await until(lambda: gauge(sink, "connected") == 0, "the connection is missed", 40)


async def test_what_waited_is_sent_by_the_next_process(broker: Mosquitto, tmp_path: Path) -> None:
    broker.kill()
    told: list[str] = []
    sink = mqtt(tmp_path, broker, tell=told.append)
    async with running(sink):
        for n in range(5):
            sink.write(event(n))
        await until(lambda: count(sink, "target_failures") >= 2, "two tries", 40)
        await sink.drain(5.0)  # type: ignore[attr-defined]  # nobody there: it does not wait
    assert [line.partition(":")[0] for line in told] == ["target fails, what comes waits in the spool"]
    broker.start()
    async with subscribed(broker, "clownfish/box/dev00/event") as heard:
        async with running(mqtt(tmp_path, broker)) as second:
            await until(lambda: gauge(second, "connected") == 1, "connected", 40)
            await second.drain(5.0)
            assert gauge(second, "spool_messages") == 0
        await until(lambda: len(heard.messages) == 5, "all five", 40)
        assert [each["id"] for each in heard.on("/event")] == [f"dev00/7/{n}" for n in range(5)]


async def test_answers_go_to_a_topic_of_their_own_and_a_state_changes_with_its_label(
    broker: Mosquitto, tmp_path: Path
) -> None:
    sink = mqtt(tmp_path, broker, discovery="")
    async with subscribed(broker) as heard, running(sink):
        for t, label in enumerate(["Archery", "Archery", "Basketball", "Basketball"]):
            sink.write(result(t, label))
        sink.write(result(1, "BabyCrawling", revision=1))  # the past, corrected: no state of now
        await until(lambda: len(heard.on("/result")) == 5, "all", 40)
        await until(lambda: heard.last("clownfish/box/dev00/state") is not None, "a state", 40)
        assert json.loads(heard.last("clownfish/box/dev00/state") or "")["label"] == "Basketball"
        assert not heard.on("/config")


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[tuple[Mosquitto, Path]]:
    """A broker with TLS, and the user `door` whose password is `secret`; and its certificate."""
    openssl, tool = shutil.which("openssl"), shutil.which("mosquitto_passwd")
    if openssl is None or tool is None:
        pytest.skip("openssl or mosquitto_passwd is not installed")
    certificate, key, passwords = (tmp_path / name for name in ("cert.pem", "key.pem", "passwords"))
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-keyout", key, "-out", certificate, "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
        check=True, capture_output=True,
    )  # fmt: skip
    subprocess.run([tool, "-c", "-b", passwords, "door", "secret"], check=True, capture_output=True)
    lines = ("allow_anonymous false", f"password_file {passwords}", f"certfile {certificate}", f"keyfile {key}")
    started = Mosquitto(tmp_path / "secure", *lines)
    started.start()
    yield started, certificate
    started.kill()


async def test_a_broker_with_passwords_and_tls_is_spoken_to_and_a_wrong_password_is_said(
    secure: tuple[Mosquitto, Path], tmp_path: Path
) -> None:
    broker, certificate = secure
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    right.write_text("secret\n")
    wrong.write_text("guess\n")
    options = {"host": "localhost", "port": broker.port, "user": "door", "tls": True, "ca": str(certificate), **FAST}
    told: list[str] = []
    async with running(build("mqtt", context(tmp_path, "a", tell=told.append), password_file=str(wrong), **options)):
        await until(lambda: bool(told), "the refusal", 40)
    assert "not authori" in told[0].lower()
    async with running(build("mqtt", context(tmp_path, "b"), password_file=str(right), **options)) as sink:
        sink.write(event(0))
        await until(lambda: count(sink, "acked") == 1, "it is taken", 40)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"password_env": "NO_SUCH_VARIABLE"}, "the environment has no NO_SUCH_VARIABLE"),
        ({"password_file": "/no/such/file"}, "password_file /no/such/file: cannot be read"),
        ({"password_file": "a", "password_env": "B"}, "not both"),
        ({"tls": True, "ca": "/no/such/ca"}, "TLS: /no/such/ca: cannot be used"),
    ],
)
def test_a_secret_that_is_not_there_is_said_at_once(tmp_path: Path, options: dict[str, object], says: str) -> None:
    with pytest.raises(SinkError, match=says):
        build("mqtt", context(tmp_path), host="127.0.0.1", **options)


@pytest.mark.parametrize("topic", ["a/#", "a+b", "/a", "a/"])
def test_a_topic_that_cannot_be_is_refused(tmp_path: Path, topic: str) -> None:
    with pytest.raises(ValueError, match="without \\+ and #"):
        build("mqtt", context(tmp_path), host="127.0.0.1", topic=topic)
