"""What a killed training run leaves: the checkpoint after the last whole epoch, from which it goes on bit by bit."""

from __future__ import annotations

import csv
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from clownfish.atomic import write_whole
from clownfish.errors import ModelError
from clownfish.training.config import SimiNetConfig, load_config
from clownfish.training.drawn import DrawnConfig, train_drawn
from clownfish.training.siminet_fit import fit
from clownfish.training.siminet_pairs import Pairs

EPOCHS = 3
TOML = """
name = "tiny"
seed = 5
output = "{folder}/out/tiny"
runs = "{folder}/runs"
architecture = "tests.training_data:Small"
options = {{ width = 4 }}
feature = "logits"
[input]
width = 24
height = 24
window_size = 16
frame_step = 4
mean = [127.0, 127.0, 127.0]
std = [64.0, 64.0, 64.0]
[data]
dataset = "shapes"
cache = "{cache}"
cache_width = 32
cache_height = 24
train_streams = 1
siminet_streams = [1]
validation_groups = [0]
[augment]
mixup = 0.3
[fit]
epochs = 3
windows_per_clip = 2
batch = 8
patience = 9
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def write_config(folder: Path, cache: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "tiny.toml"
    path.write_text(TOML.format(folder=folder.as_posix(), cache=cache.as_posix()), encoding="utf-8")
    return path


def train(folder: Path, cache: Path, *sets: str) -> list[str]:
    torch.set_num_threads(1)  # as the command does: two add in another order
    lines: list[str] = []
    train_drawn(load_config(write_config(folder, cache), DrawnConfig, sets), lines.append)
    return lines


def weights(folder: Path) -> bytes:
    return (folder / "out" / "tiny.safetensors").read_bytes()


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    folder = tmp_path_factory.mktemp("straight")
    train(folder, cache)
    return folder


KILLED = """
import io, os, signal, sys, torch
from clownfish.cli.app import main
from clownfish.training.batches import Batches

def kill():
    os.kill(os.getpid(), signal.SIGKILL)

make, save, saved = Batches.__getitem__, torch.save, 0

def killed_in_mid_epoch(self, key):
    if key == (1, len(self) // 2):
        kill()
    return make(self, key)

def killed_in_mid_write(state, file):  # the beginning is written, and the first epoch, then half of the second
    global saved
    saved += 1
    if saved < 3:
        return save(state, file)
    whole = io.BytesIO()
    save(state, whole)
    file.write(whole.getvalue()[: len(whole.getvalue()) // 2])
    file.flush()
    kill()

if sys.argv[1] == "epoch":
    Batches.__getitem__ = killed_in_mid_epoch
else:
    torch.save = killed_in_mid_write
sys.argv = ["clownfish", "train", "local", "--config", sys.argv[2]]
main()
"""


@pytest.mark.parametrize("at", ["epoch", "write"])
def test_a_run_killed_in_the_midst_of_an_epoch_or_of_a_checkpoint_loses_that_epoch_and_ends_with_the_same_bytes(
    straight: Path, cache: Path, tmp_path: Path, at: str
) -> None:
    command = [sys.executable, "-c", KILLED, at, str(write_config(tmp_path, cache))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert "epoch 1/3" in done.stdout
    assert not (tmp_path / "out" / "tiny.safetensors").exists()
    part = tmp_path / "runs" / "tiny" / "checkpoint.pt.part"
    assert part.exists() == (at == "write")
    lines = train(tmp_path, cache)
    assert any(line.startswith("going on after epoch 1 ") for line in lines)
    assert [line.partition(":")[0] for line in lines if line.startswith("epoch ")] == ["epoch 2/3", "epoch 3/3"]
    assert weights(tmp_path) == weights(straight)
    with (tmp_path / "runs" / "tiny" / "log.csv").open(newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["0", "1", "2"]


def test_half_a_checkpoint_is_refused_by_its_name(cache: Path, tmp_path: Path) -> None:
    train(tmp_path, cache, "fit.epochs=1")
    path = tmp_path / "runs" / "tiny" / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(ModelError, match=r"checkpoint\.pt: is not a whole checkpoint .*delete it to start over"):
        train(tmp_path, cache)
    path.write_bytes(b"")
    with pytest.raises(ModelError, match=r"checkpoint\.pt: is not a whole checkpoint"):
        train(tmp_path, cache)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("options.width=8", r"does not fit this configuration: made with options .*: 4.* here it is .*: 8"),
        ("seed=6", r"does not fit this configuration: made with seed 5, here it is 6"),
        ("input.width=32", r"does not fit this configuration: made with input"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused_before_training(
    straight: Path, cache: Path, change: str, message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        train(straight, cache, change)


def test_a_changed_recipe_goes_on_and_says_so(straight: Path, cache: Path) -> None:
    before = weights(straight)
    lines = train(straight, cache, "fit.learning_rate=0.5")
    assert "changed since the checkpoint: fit.learning_rate was 0.01, is 0.5" in lines
    assert weights(straight) == before, "all epochs were trained already"


def test_what_is_being_written_leaves_the_old_file_until_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a" / "file"
    write_whole(path, lambda file: file.write(b"old"))

    def broken(file: object) -> None:
        raise RuntimeError("in the midst")

    with pytest.raises(RuntimeError, match="in the midst"):
        write_whole(path, broken)
    assert path.read_bytes() == b"old"
    write_whole(path, lambda file: file.write(b"new"))
    assert path.read_bytes() == b"new"
    assert [each.name for each in path.parent.iterdir()] == ["file"]


class Stop(Exception):
    pass


def test_siminet_goes_on_bit_by_bit(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    previous, noise = rng.normal(size=(2, 200, 6)).astype(np.float32)
    same = rng.random(200) < 0.7
    pairs = Pairs(previous, np.where(same[:, None], previous, 0) + noise, same)

    def fitted(runs: Path, stop: str = "") -> tuple[dict[str, torch.Tensor], list[str]]:
        lines: list[str] = []

        def say(line: str) -> None:
            lines.append(line)
            if stop and line.startswith(stop):
                raise Stop

        config = SimiNetConfig.model_validate(
            {
                "name": "tiny",
                "seed": 2,
                "output": runs / "out",
                "runs": runs,
                "classifier": "none",
                "data": {"dataset": "none", "root": ".", "validation_groups": [1], "cache_width": 1, "cache_height": 1},
                "hidden": 16,
                "epochs": EPOCHS,
                "batch": 32,
                "noise": 0.1,
            }
        )
        module, _ = fit(config, pairs, pairs, say)
        return module.state_dict(), lines

    straight, _ = fitted(tmp_path / "straight")
    with pytest.raises(Stop):
        fitted(tmp_path / "broken", stop="epoch 2/")
    resumed, lines = fitted(tmp_path / "broken")
    assert lines[0].startswith("going on after epoch 2 ")
    assert all(torch.equal(straight[name], resumed[name]) for name in straight)
