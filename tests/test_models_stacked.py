"""The stacked network looks where something moves."""

from __future__ import annotations

import pytest
import torch

from clownfish.models.stacked import StackedNet, busiest


@pytest.mark.parametrize("centre", [10, 30, 52])
def test_the_strip_lies_around_what_moves(centre: int) -> None:
    differences = 0.05 * torch.randn(1, 7, 32, 64, generator=torch.Generator().manual_seed(0))
    differences[:, :, 10:20, centre - 4 : centre + 4] += 1
    first = int(busiest(differences, 24))
    assert 0 <= first <= 64 - 24
    assert first <= centre - 4
    assert centre + 4 <= first + 24
    assert abs(first + 12 - centre) <= 3 or first in (0, 64 - 24)


def test_a_still_picture_answers_whatever_its_frames_number() -> None:
    network = StackedNet(3, frames=4, width=0.25, depth=1).eval()
    still = torch.randn(1, 3, 1, 32, 40)
    with torch.inference_mode():
        four, nine = (network(still.expand(-1, -1, n, -1, -1)) for n in (4, 9))
    torch.testing.assert_close(four, nine)


def test_a_shifted_figure_in_an_empty_room_is_the_same_to_the_network() -> None:
    network = StackedNet(3, frames=4, width=0.25, depth=1).eval()
    room = torch.zeros(1, 3, 4, 32, 64)
    room[..., 10:20, 20:28] = torch.randn(1, 3, 4, 10, 8)
    with torch.inference_mode():
        torch.testing.assert_close(network(room), network(room.roll(9, dims=-1)))
