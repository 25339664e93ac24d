"""The training loop and what it is made of: batches, precision, chosen layers, early stop, a teacher, logs."""

from __future__ import annotations

import csv
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from torch.nn import functional as F

from clownfish.atomic import check_writable
from clownfish.errors import ConfigError, ModelError
from clownfish.models.adapter import Network
from clownfish.models.description import InputDescription, ModelDescription
from clownfish.models.load import build
from clownfish.training import loop
from clownfish.training.batches import Batch, Batches, epochs_of
from clownfish.training.cache import FrameCache
from clownfish.training.config import Augment, ClassifierConfig, SimiNetConfig, load_config
from clownfish.training.device import _There
from clownfish.training.distil import divergence
from clownfish.training.export import export
from clownfish.training.initial import begin
from clownfish.training.precision import Precision
from clownfish.training.progress import Terminal, track
from tests.training_data import CLASSES, clips_in_memory, tiny_config

CPU = torch.device("cpu")


def description_of(config: ClassifierConfig, classes: tuple[str, ...] = CLASSES, **more: Any) -> ModelDescription:
    return ModelDescription(
        name=config.name,
        architecture=config.architecture,
        options=config.options,
        classes=classes,
        input=config.input.model_copy(update=more),
        feature=config.feature,
        temperature=1.0,
    )


def train(config: ClassifierConfig) -> tuple[Network, list[str]]:
    cache, clips = clips_in_memory()
    torch.manual_seed(config.seed)
    network = build(description_of(config))
    lines: list[str] = []
    begin(network, cache, clips, CLASSES, config, lines.append)
    loop.fit(network, cache, clips, clips, CLASSES, config, lines.append)
    return network, lines


def batches(cache: FrameCache | None = None, batch: int = 5, **more: Any) -> Batches:
    own, clips = clips_in_memory()
    shape = InputDescription(width=16, height=16, window_size=8, mean=(127, 127, 127), std=(70, 70, 70))
    return Batches(cache or own, clips, CLASSES, shape, Augment(mixup=0.4), 1, batch, 3, **more)


def same(a: Batch, b: Batch) -> bool:
    return torch.equal(a.x, b.x) and torch.equal(a.targets, b.targets)


def test_a_batch_depends_on_its_number_alone() -> None:
    one, other = batches(), batches()
    assert len(one) == 3
    late = other[1, 2]  # asked for first there, last here
    assert [len(one[1, n].x) for n in range(3)] == [5, 5, 2]
    assert same(one[1, 2], late)
    assert not same(one[0, 2], late)
    assert torch.allclose(late.targets.sum(1), torch.ones(2))


def test_a_last_batch_of_one_window_is_left_out_and_too_few_windows_are_refused() -> None:
    assert len(batches(batch=11)) == 1
    with pytest.raises(ConfigError, match="12 training windows in batches of 1; expected two or more"):
        batches(batch=1)


def test_another_process_makes_the_same_batches_of_a_mapped_file_that_is_not_copied_to_it(tmp_path: Path) -> None:
    cache, _ = clips_in_memory()
    path = tmp_path / "frames.u8"
    cache.frames.tofile(path)
    mapped = np.memmap(path, np.uint8, "r", shape=cache.frames.shape)
    whole = batches(FrameCache(mapped, cache.spans, 1))
    assert len(pickle.dumps(whole)) < 10_000 < cache.frames.nbytes
    here, there = epochs_of(whole, 0, CPU), epochs_of(whole, 1, CPU)
    for epoch in range(2):
        torch.manual_seed(0)
        made = list(there(epoch))
        assert len(made) == 3
        assert all(same(a, b) for a, b in zip(here(epoch), made, strict=True))
        assert torch.equal(torch.rand(2), torch.rand(2, generator=torch.Generator().manual_seed(0))), (
            "numbers were taken"
        )


def test_a_teacher_sees_the_same_changed_window_at_its_own_size() -> None:
    shape = InputDescription(width=10, height=8, window_size=8, frame_step=2, mean=(127, 127, 127), std=(70, 70, 70))
    batch = batches(teacher=shape)[0, 0]
    assert batch.teacher_x is not None
    assert batch.teacher_x.shape == (5, 3, 4, 8, 10)
    small = F.adaptive_avg_pool3d(batch.x[:, :, 1::2], (4, 2, 2))
    assert torch.allclose(small, F.adaptive_avg_pool3d(batch.teacher_x, (4, 2, 2)), atol=0.15)


def test_the_teachers_part_of_the_loss_is_the_temperature_squared_times_the_divergence() -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 7, 4)
    p, q = (torch.softmax(z / 3, 1) for z in (teacher, student))
    assert float(divergence(student, teacher, 3.0)) == pytest.approx(
        float(9 * (p * (p / q).log()).sum(1).mean()), rel=1e-4
    )
    assert float(divergence(teacher, teacher, 3.0)) == pytest.approx(0, abs=1e-5)


def written_teacher(folder: Path, classes: tuple[str, ...] = CLASSES, **more: Any) -> str:
    config = tiny_config(folder)
    description = description_of(config, classes, **more)
    torch.manual_seed(9)
    export(folder / "teacher", build(description), description)
    return str(folder / "teacher")


def test_a_student_taught_by_another_model_alone_comes_to_answer_as_it_does(tmp_path: Path) -> None:
    """The labels weigh nothing: with them turned round the student follows its teacher, trained on the right ones."""
    config = tiny_config(tmp_path / "t", {"epochs": 6, "windows_per_clip": 4})
    network, _ = train(config)
    export(tmp_path / "teacher", network, description_of(config))
    distil = {"teacher": str(tmp_path / "teacher"), "weight": 1.0}
    student = tiny_config(tmp_path / "s", {"epochs": 6, "windows_per_clip": 4}, distil=distil)
    cache, clips = clips_in_memory()
    turned = CLASSES[::-1]
    torch.manual_seed(5)
    pupil = build(description_of(student))
    swapped = [clip.__class__(clip.path, turned[CLASSES.index(clip.label)], clip.group, clip.frames) for clip in clips]
    loop.fit(pupil, cache, swapped, clips, CLASSES, student, lambda line: None)
    assert loop.clip_scores(pupil, cache, clips, CLASSES, student)[0] == 1


@pytest.mark.parametrize(
    ("classes", "more", "message"),
    [
        (("dark", "blue"), {}, r"distil.teacher .*lacks 'bright' and adds 'blue'"),
        (CLASSES, {"window_size": 4}, r"windows must be of one size"),
    ],
)
def test_a_teacher_that_does_not_fit_is_refused_before_training(
    tmp_path: Path, classes: tuple[str, ...], more: dict[str, int], message: str
) -> None:
    teacher = written_teacher(tmp_path, classes, **more)
    with pytest.raises((ModelError, ConfigError), match=message):
        train(tiny_config(tmp_path, distil={"teacher": teacher}))
    assert not (tmp_path / "runs").exists()


def test_training_stops_when_validation_gets_no_better_and_keeps_the_best_epochs_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accuracies = iter([0.5, 0.8, 0.7, 0.8, 0.6])
    kept: list[dict[str, torch.Tensor]] = []

    def scores(network: Network, *_: object) -> tuple[float, float]:
        kept.append({name: tensor.clone() for name, tensor in network.state_dict().items()})
        return next(accuracies), 1.0

    monkeypatch.setattr(loop, "clip_scores", scores)
    network, lines = train(tiny_config(tmp_path, {"epochs": 9, "patience": 2}))
    assert len(kept) == 4
    assert lines[-2:] == ["stopped: no better for 2 epochs than epoch 2", "kept epoch 2: validation clips 0.800"]
    assert all(torch.equal(tensor, kept[1][name]) for name, tensor in network.state_dict().items())
    again, lines = train(tiny_config(tmp_path, {"epochs": 9, "patience": 2}))
    assert lines[1] == "stopped: no better for 2 epochs than epoch 2", "it stays stopped"
    assert all(torch.equal(tensor, kept[1][name]) for name, tensor in again.state_dict().items())


def changed(network: Network, config: ClassifierConfig) -> set[str]:
    torch.manual_seed(config.seed)
    before = build(description_of(config)).state_dict()
    return {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}


def test_only_chosen_layers_learn(tmp_path: Path) -> None:
    fit = {"trained": ["conv.", "fc."], "frozen": ["conv.bias"], "epochs": 1}
    config = tiny_config(tmp_path, fit)
    network, _ = train(config)
    assert changed(network, config) == {"conv.weight", "fc.weight", "fc.bias"}, "nor do others' batch norms count on"
    network, _ = train(tiny_config(tmp_path / "frozen", {"frozen": ["conv."], "epochs": 1}))
    assert changed(network, config) >= {"bn.weight", "bn.running_mean", "fc.weight"}


@pytest.mark.parametrize(
    ("fit", "message"),
    [
        ({"trained": ["layer4."]}, r"fit.trained: no parameter begins with 'layer4.'; .*bn., conv., fc."),
        ({"frozen": ["cnov."]}, r"fit.frozen: no parameter begins with 'cnov.'"),
        ({"trained": ["fc."], "frozen": ["fc."]}, r"leave no parameter to train"),
        ({"precision": "fp16"}, r"fit.precision is 'fp16', which needs a GPU"),
    ],
)
def test_what_cannot_be_trained_is_said_before_any_work(tmp_path: Path, fit: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        train(tiny_config(tmp_path, fit))
    assert not (tmp_path / "runs").exists()


def test_a_run_begins_from_another_models_weights_but_for_the_last_layer(tmp_path: Path) -> None:
    other = written_teacher(tmp_path, ("a", "b", "c")) + ".safetensors"
    config = tiny_config(tmp_path, {"epochs": 0}, initial=other)
    network, _ = train(config)
    torch.manual_seed(9)
    body = build(description_of(config, ("a", "b", "c"))).state_dict()["conv.weight"]
    assert torch.equal(network.state_dict()["conv.weight"], body.half().float())
    wide = tiny_config(tmp_path / "wide", {"epochs": 0}, initial=other, options={"width": 4})
    with pytest.raises(ModelError, match=r"conv\.weight"):
        train(wide)


def test_bfloat16_is_what_the_forward_pass_computes_in_and_weights_stay_float32(tmp_path: Path) -> None:
    precision = Precision("bf16", CPU)
    with precision.autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype is torch.bfloat16
    with Precision("auto", CPU).autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype is torch.float32
    network, lines = train(tiny_config(tmp_path, {"precision": "bf16", "epochs": 6, "windows_per_clip": 4}))
    assert {tensor.dtype for tensor in network.parameters()} == {torch.float32}
    assert "validation clips 1.000" in lines[-1]


def test_a_scaled_loss_steps_as_an_unscaled_one_does() -> None:
    """What fp16 on a GPU does, on the CPU: the scale comes out again before the step."""
    steps = []
    for scaled in (False, True):
        weight = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
        precision = Precision("fp32", CPU)
        precision.scaler = torch.amp.GradScaler("cpu", enabled=scaled)
        precision.step((weight**2).sum(), torch.optim.SGD([weight], lr=0.1), "here")
        steps.append(weight.detach())
    assert torch.allclose(*steps)


def test_a_network_that_computes_elsewhere_gives_and_takes_tensors_of_the_cpu() -> None:
    config = tiny_config(Path())
    network = build(description_of(config)).eval()
    there = _There(network, CPU)
    x = torch.randn(2, 3, 8, 16, 16)
    assert torch.equal(there(x), network(x))


def test_the_csv_log_has_a_line_for_each_epoch_and_tensorboard_the_same_numbers(tmp_path: Path) -> None:
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator", reason="extra tensorboard")
    train(tiny_config(tmp_path, {"epochs": 2}, tensorboard=True))
    folder = tmp_path / "runs" / "tiny"
    with (folder / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1"]
    events = reading.EventAccumulator(str(folder))
    events.Reload()
    for name in ("loss", "validation_clip_accuracy", "validation_loss"):
        seen = [event.value for event in events.Scalars(name)]
        assert seen == pytest.approx([float(row[name]) for row in rows], rel=1e-4)


def test_on_a_terminal_a_bar_runs_and_lines_stay_whole_and_elsewhere_there_is_none() -> None:
    screen = io.StringIO()
    say = Terminal(Console(file=screen, force_terminal=True, width=100))
    seen = []
    for n in track(say, range(3), 3, "epoch 1/2"):
        say(f"line [{n}] of {n}")
        seen.append(n)
    assert seen == [0, 1, 2]
    assert "epoch 1/2" in screen.getvalue()
    assert "line [2] of 2" in screen.getvalue()
    lines: list[str] = []
    items = range(3)
    assert track(lines.append, items, 3, "epoch 1/2") is items


def test_an_output_that_cannot_be_written_is_said_with_its_key(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"output: .*file/tiny cannot be written"):
        check_writable("output", tmp_path / "file" / "tiny")
    check_writable("output", tmp_path / "new" / "tiny")
    assert not list((tmp_path / "new").iterdir())


def test_single_values_are_overridden_and_wrong_ones_named(tmp_path: Path) -> None:
    path = Path("configs/train/ucf9-siminet.toml")
    config = load_config(path, SimiNetConfig, ["epochs=2", "distance=[1, 4]", "data.root=elsewhere"])
    assert (config.epochs, config.distance, config.data.root) == (2, (1, 4), Path("elsewhere"))
    with pytest.raises(ConfigError, match=r"expected KEY=VALUE"):
        load_config(path, SimiNetConfig, ["epochs"])
    with pytest.raises(ConfigError, match=r"distance: .*expected numbers of windows, 1 or more \(read \[0\]\)"):
        load_config(path, SimiNetConfig, ["distance=[0]"])
