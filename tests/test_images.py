"""A folder of pictures as a video: order, sizes, colours, and pictures that cannot be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clownfish.errors import SourceError
from clownfish.opencv import cv2, resized
from clownfish.sources import open_source
from clownfish.sources.images import ImageFolder, natural_order
from tests.videos import cut, number, read_until_error, write_image


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=20))
def test_numbers_in_names_count_as_numbers(counts: list[int]) -> None:
    names = [f"frame{count}.png" for count in counts]
    assert sorted(names, key=natural_order) == [f"frame{count}.png" for count in sorted(counts)]


@given(st.lists(st.text(max_size=8), max_size=8))
def test_any_names_have_an_order(names: list[str]) -> None:
    assert sorted(sorted(names, key=natural_order)) == sorted(names)


def test_a_picture_that_grows_has_no_blocks_and_one_that_shrinks_is_averaged() -> None:
    ramp = np.repeat(np.arange(0, 240, 40, np.uint8)[None, :, None], 6, axis=0).repeat(3, axis=2)
    grown = resized(ramp, 24, 24)[12, :, 0].astype(int)
    assert np.diff(grown[2:-2]).min() > 0  # area averages would repeat each column
    assert resized(ramp, 3, 3)[1, :, 0].tolist() == [20, 100, 180]


def test_a_folder_gives_its_pictures_in_natural_order_whatever_their_size(tmp_path: Path) -> None:
    for n, name in enumerate(["1.png", "2.JPG", "10.bmp", "a.webp"]):
        write_image(tmp_path / name, n, width=64 + 8 * n, height=48)
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / ".hidden.png").write_text("no picture")
    source = open_source(f"images:{tmp_path}")
    assert source.fps == 30
    frames = list(source)
    assert [number(pixels) for pixels in frames] == [0, 1, 2, 3]
    assert [pixels.shape for pixels in frames] == [(48, 64 + 8 * n, 3) for n in range(4)]


def test_grey_and_transparent_pictures_come_as_rgb(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "0.png"), np.full((8, 8), 77, np.uint8))
    cv2.imwrite(str(tmp_path / "1.png"), np.full((8, 8, 4), 77, np.uint8))
    for pixels in ImageFolder(tmp_path):
        np.testing.assert_array_equal(pixels, np.full((8, 8, 3), 77))


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("share", [0.0, 0.6])
def test_an_unreadable_picture_is_named_after_those_before_it(suffix: str, share: float, tmp_path: Path) -> None:
    write_image(tmp_path / f"1{suffix}", 1)
    cut(write_image(tmp_path / f"2{suffix}", 2), share)
    came, text = read_until_error(ImageFolder(tmp_path))
    assert came == [1]
    assert "image 2 of 2" in text
    assert f"2{suffix}" in text


def test_a_folder_without_pictures_says_what_it_expects(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(SourceError, match=r"no image.*\.png"):
        ImageFolder(tmp_path)
