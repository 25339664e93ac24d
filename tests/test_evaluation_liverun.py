"""A recorded live run, replayed: bit for bit what it was, or what would have been; and what no record can tell."""

from __future__ import annotations

import dataclasses
import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from clownfish.chunks import append_chunk, read_chunks, unpack_columns
from clownfish.errors import ClownfishError, ConfigError, DatasetError
from clownfish.evaluation.cli import eval_app
from clownfish.evaluation.dump import Dump, write_dump
from clownfish.evaluation.liverun import arrivals_of, completed, dump_of, joined, live_sends, lives, rho_of
from clownfish.evaluation.verify import verify_fusion, verify_gate
from clownfish.evaluation.whatif import Change, what_if
from clownfish.messages import FusedResult
from clownfish.recording import Recording
from clownfish.records import MAGIC, Record, read_record, record_name
from clownfish.settings import Plugin
from clownfish.sources.truth import Context, Truth
from tests.live_runs import CLASSES, KEY, N_W, SIZE, STRIDE, LiveRun, header, recorded

NO_CHECK = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def record(tmp_path: Path) -> Record:
    return recorded(tmp_path)


def offline(record: Record, seed: int = 3) -> Dump:
    """A dump of the same video: the same local answers, and the cloud's for every window."""
    live = dump_of(record, joined(lives(record)))
    windows = int(live.t.max()) + 3
    rng = np.random.default_rng(seed)
    p_local = rng.dirichlet(np.ones(len(CLASSES)), windows).astype(np.float32)
    p_local[live.t] = live.p_local
    return Dump(
        live.header,
        np.arange(windows),
        p_local,
        rng.normal(size=(windows, 6)).astype(np.float32),
        rng.dirichlet(np.full(len(CLASSES), 0.3), windows).astype(np.float32),
        rng.integers(100, 200, windows * STRIDE + SIZE - STRIDE),
    )


@given(st.integers(0, 10**6))
@NO_CHECK
def test_whatever_happens_replay_gives_every_answer_of_the_live_run_bit_for_bit_and_in_order(
    tmp_path: Path, seed: int
) -> None:
    """Windows skipped by `local`, answers early, late, twice, beyond the horizon, and for windows never inferred."""
    folder = tmp_path / str(seed)
    run = LiveRun(Recording(folder, header), seed).run()
    record = read_record(folder / record_name(*KEY))
    check = verify_fusion(record)
    assert check.holds, check
    answers = [each for each in run.given if isinstance(each, FusedResult)]
    assert record.rows("answer") == len(answers) > 2 * record.rows("local") - 1
    gate = verify_gate(record)
    assert gate is not None
    assert gate.holds, gate


@pytest.mark.parametrize("policy", [Plugin("drift", {"threshold": 0.9, "n_w": N_W}), Plugin("budget", {"share": 0.5})])
@given(seed=st.integers(0, 10**6))
@NO_CHECK
def test_what_a_policy_sent_that_looks_at_local_answers_is_sent_again(
    tmp_path: Path, policy: Plugin, seed: int
) -> None:
    folder = tmp_path / f"{policy.kind}-{seed}"
    LiveRun(Recording(folder, partial(header, policy=policy)), seed, policy=policy).run()
    gate = verify_gate(read_record(folder / record_name(*KEY)))
    assert gate is not None
    assert gate.holds, gate


def test_such_runs_hold_what_the_test_above_says(tmp_path: Path) -> None:
    seen = {"gap": 0, "late": 0, "twice": 0, "corrected": 0, "skipped": 0}
    for seed in range(10):
        record = recorded(tmp_path / str(seed), seed)
        life = joined(lives(record))
        seen["gap"] += len(arrivals_of(record, life).extra)
        seen["late"] += sum(after - t > 12 for after, t in life.arrivals)
        seen["twice"] += len(life.arrivals) - len(life.p_remote)
        seen["corrected"] += int((~record.column("answer", "final") & (record.column("answer", "revision") > 0)).sum())
        seen["skipped"] += 60 - record.rows("local")
    assert all(seen.values()), seen


def test_a_fusion_process_that_is_killed_leaves_two_lives_each_as_it_was(tmp_path: Path) -> None:
    record = recorded(tmp_path, 4, kill_fusion_at=31)
    first, second = lives(record)
    assert (first.ended, second.ended) == (False, True)
    check = verify_fusion(record)
    assert check.holds, check
    assert "of 2 fusion processes" in check.what


def test_a_run_that_was_killed_is_checked_as_far_as_it_is_recorded(tmp_path: Path) -> None:
    record = recorded(tmp_path, finish=False)
    assert verify_fusion(record).holds
    assert record.column("answer", "final").sum() < record.rows("local")


@given(st.data())
@NO_CHECK
def test_a_record_cut_anywhere_is_checked_up_to_its_last_whole_chunk(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / record_name(*KEY)
    if not path.exists():
        recording = Recording(tmp_path, header)
        run = LiveRun(recording, 1)
        note = recording.note
        counted = iter(range(10**6))

        def note_and_flush(each: object) -> None:
            note(each)  # type: ignore[arg-type]
            if next(counted) % 40 == 39:
                recording.flush()

        recording.note = note_and_flush  # type: ignore[method-assign, assignment]
        run.run()
    cut = tmp_path / "cut.record"
    cut.write_bytes(path.read_bytes()[: data.draw(st.integers(3000, path.stat().st_size))])
    record = read_record(cut)
    if record.rows("local"):
        assert verify_fusion(record).holds


@pytest.mark.parametrize("lost", [3, 20, 60])
def test_a_record_with_lost_notes_is_refused_whatever_is_left(tmp_path: Path, lost: int) -> None:
    record = recorded(tmp_path, lose=lambda number: number == lost)
    check = verify_fusion(record)
    assert not check.holds
    assert "not whole: notes are missing (1 of fusion)" in check.refused
    gate = verify_gate(record)
    assert gate is not None
    assert gate.holds, "the filter's are all here"
    with pytest.raises(DatasetError, match="not whole"):
        what_if(record, Change(theta=0.1))


def changed(record: Record, column: str, place: int, value: object) -> Record:
    """The record with one number changed, as if the live run had said so."""
    values = record._columns[column].copy()
    values[place] = value
    return dataclasses.replace(record, _columns={**record._columns, column: values})


@pytest.mark.parametrize(
    ("column", "place", "value", "said"),
    [
        ("answer.beta", 30, 0.123, "answer 30, in beta: live window"),
        ("answer.p", 7, [0.2, 0.3, 0.5], "answer 7, in p: live window"),
        ("answer.revision", 12, 9, "answer 12, in revision: live window"),
        ("local.rho", 25, 0.4321, " in rho: live window"),
        ("remote.p", 2, [0.1, 0.1, 0.8], "in "),
        ("local.p", 10, [0.1, 0.1, 0.8], "in "),
    ],
)
def test_any_one_number_that_is_not_as_it_was_is_found(
    record: Record, column: str, place: int, value: object, said: str
) -> None:
    check = verify_fusion(changed(record, column, place, value))
    assert not check.holds
    assert said in check.difference
    assert "; replay window" in check.difference


def test_an_answer_in_the_last_bit_is_another_answer(record: Record) -> None:
    p = record.column("answer", "p")[40].copy()
    p[0] = np.nextafter(p[0], 1)
    assert "answer 40, in p" in verify_fusion(changed(record, "answer.p", 40, p)).difference


def test_results_applied_at_another_time_are_found(record: Record) -> None:
    kinds = record.column("step", "kind").copy()
    place = int(np.flatnonzero(kinds == 2)[3])
    kinds[[place - 1, place]] = kinds[[place, place - 1]]
    moved = dataclasses.replace(record, _columns={**record._columns, "step.kind": kinds})
    assert verify_fusion(moved).holds == (record.column("step", "kind")[place - 1] == 3), "answers have no time"
    later = [k for k in kinds.tolist() if k != 2]
    late = dataclasses.replace(record, _columns={**record._columns, "step.kind": np.array(later + [2] * 99, np.int8)})
    late = dataclasses.replace(
        late, _columns={**late._columns, "step.kind": np.array(later[:-1] + [2] * record.rows("remote") + [4], np.int8)}
    )
    assert not verify_fusion(late).holds


def test_a_gate_that_sent_what_the_policy_does_not_choose_is_found(record: Record) -> None:
    what = record.column("filter", "what").copy()
    place = int(np.flatnonzero(what == "released unchanged")[2])
    what[place] = "sent transition"
    check = verify_gate(dataclasses.replace(record, _columns={**record._columns, "filter.what": what}))
    assert check is not None
    assert "live window" in check.difference
    assert "sent transition, replay window" in check.difference


def test_a_record_of_an_edge_without_a_cloud_has_no_gate_to_check(tmp_path: Path) -> None:
    recording = Recording(tmp_path, header)
    note = recording.note
    recording.note = lambda each: note(each) if each.service == "fusion" else None  # type: ignore[method-assign]
    LiveRun(recording).run()
    record = read_record(tmp_path / record_name(*KEY))
    assert verify_gate(record) is None
    assert verify_fusion(record).holds


# -- what if ----------------------------------------------------------------------------------------------------------


def test_the_dump_of_a_live_run_holds_what_was_recorded(record: Record) -> None:
    life = joined(lives(record))
    dump = dump_of(record, life)
    np.testing.assert_array_equal(dump.t, record.column("local", "t"))
    np.testing.assert_array_equal(dump.p_local, record.column("local", "p"))
    answered = [t for t in dump.t.tolist() if t in life.p_remote]
    assert np.flatnonzero(~np.isnan(dump.p_remote[:, 0])).tolist() == [dump.t.tolist().index(t) for t in answered]
    assert np.isnan(rho_of(record, life)).sum() == 1
    sent = {t * STRIDE + n for t in record.column("uplink", "t").tolist() for n in range(SIZE)}
    total = dump.frame_bytes[sorted(sent)].sum()
    assert total == pytest.approx(1000 * record.rows("uplink"), rel=0.01)
    assert dump.frames == 60 * STRIDE + SIZE - STRIDE


def test_nothing_else_than_it_was_is_the_live_run(record: Record) -> None:
    outcome = what_if(record, Change(theta=0.5))
    assert (outcome.live_differ, outcome.final_differ) == (0, 0)
    assert outcome.live.corrected == outcome.changed.corrected
    assert outcome.live.sent == len(live_sends(record))


def test_another_policy_is_answered_where_the_cloud_answered_and_by_the_dump_elsewhere(record: Record) -> None:
    change = Change(policy=Plugin("periodic", {"n_w": 2}))
    alone = what_if(record, change)
    assert alone.changed.sent == 30
    assert alone.changed.unknown > 0
    helped = what_if(record, change, offline(record))
    assert helped.changed.unknown == 0
    assert helped.changed.answered > alone.changed.answered
    assert helped.live.answered == alone.live.answered, "the live run is what it was"


@pytest.mark.parametrize(
    ("change", "answered"),
    [
        (Change(network=Plugin("never")), False),
        (Change(network=Plugin("lag", {"windows": 2})), True),
        (Change(network=Plugin("trace", {"rtt_ms": 30, "rate_mbit": 5})), True),
        (Change(similarity=Plugin("cosine")), True),
        (Change(theta=0.9), True),
        (Change(method=Plugin("exponential")), True),
    ],
)
def test_other_networks_similarities_and_thresholds_are_replayed(
    record: Record, change: Change, answered: bool
) -> None:
    truth = Truth((Context(0, 60, "bow"), Context(60, 122, "wave")))
    outcome = what_if(record, change, offline(record), truth)
    assert (outcome.changed.answered > 0) == answered
    assert outcome.changed.accuracy_final is not None
    assert 0 <= outcome.changed.accuracy_final <= 1


def test_of_a_dump_that_goes_on_after_the_run_only_what_was_played_counts(record: Record) -> None:
    live, other = dump_of(record, joined(lives(record))), offline(record)
    known = completed(live, record, other)
    assert other.frames > known.frames == live.frames
    np.testing.assert_array_equal(known.frame_bytes, other.frame_bytes[: live.frames])
    answered = ~np.isnan(live.p_remote[:, 0])
    np.testing.assert_array_equal(known.p_remote[answered], live.p_remote[answered])
    np.testing.assert_array_equal(known.p_remote[~answered], other.p_remote[live.t][~answered])


def test_a_dump_of_other_classes_windows_or_video_is_refused(record: Record) -> None:
    live, other = dump_of(record, joined(lives(record))), offline(record)
    for name, value in (("classes", ("bow", "clap", "run")), ("size", 8), ("stride", 4)):
        unlike = dataclasses.replace(other, header=dataclasses.replace(other.header, **{name: value}))
        with pytest.raises(DatasetError, match=rf"its {name} is .*made with the same models and window parameters"):
            completed(live, record, unlike)
    with pytest.raises(DatasetError, match="it is of another video or another model"):
        completed(live, record, dataclasses.replace(other, p_local=np.roll(other.p_local, 3, axis=0)))
    names = ("t", "p_local", "feature", "p_remote")
    short = dataclasses.replace(other, **{name: getattr(other, name)[:20] for name in names})
    with pytest.raises(DatasetError, match="is not in the dump"):
        completed(live, record, short)


# -- the command ------------------------------------------------------------------------------------------------------


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(eval_app, ["replay", *map(str, arguments)], catch_exceptions=False)


def test_the_command_checks_every_record_of_a_folder_and_says_what_it_compared(record: Record, tmp_path: Path) -> None:
    numbers = tmp_path / "numbers.json"
    done = invoke(tmp_path, "--json", numbers)
    assert done.exit_code == 0, done.output
    assert f"bit-identical: {record.rows('answer')} answers" in done.output
    assert "as the policy chooses:" in done.output
    assert json.loads(numbers.read_text())[0]["fusion"]["difference"] == ""


def test_the_command_fails_with_the_first_difference(record: Record, tmp_path: Path) -> None:
    chunks, _ = read_chunks(record.path, MAGIC)
    other = tmp_path / "other"
    other.mkdir()
    path = other / "x.record"
    tree = json.loads(chunks[0])
    tree["settings"]["fusion"]["theta"] = 0.1  # not what the run had
    for chunk in (json.dumps(tree).encode(), *chunks[1:]):
        append_chunk(path, MAGIC, chunk)
    done = invoke(path)
    assert done.exit_code == 1
    assert "not bit-identical" in done.output
    assert "replay window" in done.output


def test_the_command_refuses_a_record_that_is_not_whole_and_reads_a_cut_one(tmp_path: Path) -> None:
    recorded(tmp_path / "lost", lose=lambda number: number == 9)
    done = invoke(tmp_path / "lost")
    assert done.exit_code == 1
    assert "notes are missing (1 of fusion)" in done.output
    path = recorded(tmp_path / "cut").path
    with path.open("ab") as file:
        file.write(b"half")
    done = invoke(path)
    assert done.exit_code == 0
    assert "4 bytes after the last whole chunk are not read" in done.output


def test_the_command_answers_what_if(record: Record, tmp_path: Path) -> None:
    dump = tmp_path / "dump.npz"
    write_dump(dump, offline(record))
    numbers = tmp_path / "numbers.json"
    options = ("--policy", "periodic,n_w=3", "--lag", 2, "--similarity", "cosine", "--theta", 0.4)
    done = invoke(record.path, *options, "--dump", dump, "--json", numbers)
    assert done.exit_code == 0, done.output
    assert "20 (" in done.output
    assert json.loads(numbers.read_text())[0]["changed"]["sent"] == 20
    alone = invoke(record.path, *options)
    assert "were not answered live, and count as never answered" in alone.output


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        (("--lag", 1, "--network", "never"), ConfigError, "give one of them"),
        (("--lag", -2), ConfigError, "--lag -2"),
        (("--policy", "sometimes"), ConfigError, "unknown filter policy 'sometimes'"),
        (("--network", "trace"), ConfigError, "expected path=FILE.csv"),
        (("--network", "trace,path=none.csv"), ConfigError, "none.csv: cannot be read"),
        (("--method", "magic"), ConfigError, "unknown fusion method 'magic'"),
        (("--similarity", "constant,value=2"), ConfigError, "value"),
        (("--dump", "none.npz"), ConfigError, "say what is to be other"),
        (("--lag", 1, "--dump", "none.npz"), DatasetError, "no such dump"),
    ],
)
def test_options_that_cannot_be_used_are_named(
    record: Record, options: tuple[object, ...], kind: type[ClownfishError], said: str
) -> None:
    with pytest.raises(kind) as caught:
        invoke(record.path, *options)
    assert said in str(caught.value)


def test_a_folder_without_records_and_a_run_without_windows_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no \.record file in this folder"):
        invoke(tmp_path)
    append_chunk(tmp_path / "a.record", MAGIC, header().chunk())
    with pytest.raises(DatasetError, match="holds no window"):
        invoke(tmp_path)


def test_a_record_that_begins_in_the_middle_is_told(tmp_path: Path) -> None:
    record = recorded(tmp_path)
    later = dataclasses.replace(record, _columns={**record._columns, "step.kind": record.column("step", "kind")[1:]})
    with pytest.raises(DatasetError, match="begins in the middle"):
        verify_fusion(later)


def test_a_record_with_settings_of_another_release_is_told(record: Record) -> None:
    unlike = {**record.header.settings, "fusion": {"theta": 0.5, "colour": "red"}}
    odd = dataclasses.replace(record, header=dataclasses.replace(record.header, settings=unlike))
    with pytest.raises(ConfigError, match="not of this release"):
        verify_fusion(odd)


def test_columns_of_a_record_can_be_read_with_numpy_alone(record: Record) -> None:
    chunks, _ = read_chunks(record.path, MAGIC)
    assert unpack_columns(chunks[1])["answer.p"].dtype == np.float64
