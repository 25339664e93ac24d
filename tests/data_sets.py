"""Test tools: every data set in small, as its authors lay it out, of real videos whose frames tell their numbers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clownfish.datasets.ucf9 import CLASSES as UCF9
from tests.videos import write_video

FRAMES = 60


@dataclass(frozen=True)
class Written:
    """A data set that was written, and what it should be found to hold."""

    root: Path
    clips: int
    streams: int
    victim: Path
    """A video that is used for training."""
    options: dict[str, Any] = field(default_factory=dict)
    missing: str = "missing"
    """What is said where the victim is not there; of a set that skips it, nothing."""


def video(path: Path, frames: int = FRAMES) -> Path:
    """A video of numbered frames, with a keyframe every 12."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_video(path, frames, codec="mpeg4")


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def ucf9(root: Path) -> Written:
    rows = ["path,label,group,frames"]
    for label in UCF9:
        for group in (8, 9):
            name = f"train/{label}/v_{label}_g{group:02}_c01.mp4"
            video(root / name)
            rows.append(f"{name},{label},{group},{FRAMES}")
    write(root / "train.csv", "\n".join(rows) + "\n")
    video(root / "streams/dev00.mp4")
    table = "start_frame,end_frame,label,clip\n0,30,Archery,a\n30,60,Basketball,b\n"
    write(root / "streams/dev00.csv", table)
    return Written(root, 18, 1, root / "train/Archery/v_Archery_g08_c01.mp4")


def folder(root: Path) -> Written:
    for label in ("bow", "wave"):
        for n, suffix in enumerate(("mp4", "avi", "mkv")):
            video(root / f"train/{label}/{n}.{suffix}")
        video(root / f"test/{label}/3.mp4")
    return Written(root, 6, 2, root / "train/bow/0.mp4", missing="")


def csv(root: Path) -> Written:
    for n in range(3):
        video(root / f"videos/{n}.mp4", 200)
    rows = [f"{n}.mp4,{start},{start + 40},{label},{part}" for n, part in ((0, "train"), (1, "validation"), (2, "test"))
            for start, label in ((20, "bow"), (120, "wave"))]  # fmt: skip
    write(root / "videos/all.csv", "\n".join(["video,start_frame,end_frame,label,part", *rows]))
    return Written(root, 6, 1, root / "videos/0.mp4", {"background": "idle"})


def pku_mmd(root: Path) -> Written:
    names = ("0002-L", "0002-M", "0003-L", "0004-L")
    for name in names:
        video(root / f"RGB/{name}.avi", 160)
        write(root / f"Label/Train_Label_PKU_final/{name}.txt", "13,20,60,2\r\n1,90,161,1\r\n")
    text = f"Training videos: \n{', '.join(names[:3])}, \n\nValidataion videos: \n{names[3]}, \n"
    write(root / "Split/cross-subject.txt", text)
    write(root / "Split/cross-view.txt", text)
    return Written(root, 6, 1, root / "RGB/0002-L.avi")


def ucf101(root: Path) -> Written:
    lists = {"trainlist01": [], "testlist01": []}  # type: dict[str, list[str]]
    for number, label in enumerate(("Archery", "Basketball"), 1):
        for group in (1, 8, 9):
            name = f"{label}/v_{label}_g{group:02}_c01.avi"
            video(root / "UCF-101" / name)
            lists["testlist01" if group == 1 else "trainlist01"].append(name if group == 1 else f"{name} {number}")
    for name, rows in lists.items():
        write(root / f"ucfTrainTestlist/{name}.txt", "\r\n".join(rows) + "\r\n")
    write(root / "ucfTrainTestlist/classInd.txt", "1 Archery\r\n2 Basketball\r\n")
    return Written(root, 4, 2, root / "UCF-101/Archery/v_Archery_g08_c01.avi")


def activitynet(root: Path) -> Written:
    database = {}
    for name, subset in (("one", "training"), ("two", "training"), ("three", "validation"), ("four", "testing")):
        video(root / f"videos/v_{name}.mp4", 180)
        segments = [{"label": "bow", "segment": [1.0, 2.0]}, {"label": "wave", "segment": [4.0, 6.1]}]
        database[name] = {"subset": subset, "annotations": segments if subset != "testing" else []}
    video(root / "videos/bow/five.mkv")
    database["five"] = {"subset": "training", "annotations": {"label": "bow", "segment": [1, FRAMES + 1]}}
    database["gone"] = {"subset": "training", "annotations": {"label": "bow"}}
    write(root / "activity.json", json.dumps({"labels": ["wave", "bow"], "database": database}))
    return Written(root, 7, 1, root / "videos/v_one.mp4", missing="")


WRITERS: dict[str, Callable[[Path], Written]] = {
    "ucf9": ucf9,
    "folder": folder,
    "csv": csv,
    "pku-mmd": pku_mmd,
    "ucf101": ucf101,
    "activitynet": activitynet,
}
