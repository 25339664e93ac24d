"""KeypointNet: heatmaps become places, frames are seen one by one, and nothing but tracks reaches the last layer."""

from __future__ import annotations

import pytest
import torch

from clownfish.models.keypoint import KeypointNet, gather


def small() -> KeypointNet:
    torch.manual_seed(3)
    return KeypointNet(5, channels=16, keypoints=4, look=3, hidden=8).eval()


def test_a_sharp_heatmap_gives_its_place_and_what_is_seen_there() -> None:
    heat, look = torch.full((1, 2, 5, 9), -50.0), torch.zeros(1, 3, 5, 9)
    heat[0, 0, 0, 8], heat[0, 1, 2, 4] = 50.0, 50.0
    look[0, :, 0, 8] = torch.tensor([1.0, 2.0, 3.0])
    features = gather(heat, look, torch.tensor([[7.0, 8.0, 9.0]]))[0]
    torch.testing.assert_close(features[:4], torch.tensor([1.0, -1.0, 0.0, 0.0]))  # top right, middle
    torch.testing.assert_close(features[4:6], torch.ones(2))  # sharp, both
    torch.testing.assert_close(features[6:9], torch.tensor([1.0, 2.0, 3.0]))
    torch.testing.assert_close(features[12:], torch.tensor([7.0, 8.0, 9.0]))


def test_a_flat_heatmap_is_in_the_middle_and_not_sharp() -> None:
    features = gather(torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4), torch.zeros(1, 1))[0]
    torch.testing.assert_close(features, torch.tensor([0.0, 0.0, 1 / 16, 1.0, 0.0]))


def test_the_embedding_is_made_of_frames_seen_one_by_one() -> None:
    network, x = small(), torch.randn(2, 3, 4, 48, 64)
    with torch.inference_mode():
        each = [network.frame_features(x[:, :, t]) for t in range(4)]
        embedding = network.temporal(torch.stack(each, dim=1))
        torch.testing.assert_close(network.embed(x), embedding, rtol=1e-4, atol=1e-5)
    assert embedding.shape == (2, 16)
    assert each[0].shape == (2, network.features)


def test_where_in_the_picture_a_person_stands_changes_nothing() -> None:
    """Keypoints are taken about their own middle."""
    network, features = small(), torch.rand(1, 4, small().features)
    moved = features.clone()
    moved[..., :8] += 0.2
    with torch.inference_mode():
        torch.testing.assert_close(network.temporal(features), network.temporal(moved), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [(48, 64), (96, 128), (97, 131)])
def test_any_size_of_picture(size: tuple[int, int]) -> None:
    network = small()
    heat, look, whole = network.maps(torch.zeros(1, 3, *size))
    assert heat.shape[-2:] == (-(-size[0] // 4), -(-size[1] // 4))
    assert look.shape[-2:] == heat.shape[-2:]
    assert whole.shape == (1, 3)
