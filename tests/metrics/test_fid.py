"""Moments and the Fréchet distance against closed forms."""

import pytest
import torch
from torch import Tensor

from ccfpse.metrics.fid import frechet_distance
from ccfpse.metrics.moments import Moments


def gaussian(mean: list[float], covariance: list[list[float]], count: int = 11) -> Moments:
    """Moments as if `count` samples had exactly this mean and (unbiased) covariance."""
    moments = Moments(len(mean))
    moments.count = count
    moments.mean = torch.tensor(mean, dtype=torch.float64)
    moments.scatter = torch.tensor(covariance, dtype=torch.float64) * (count - 1)
    return moments


def test_moments_by_hand() -> None:
    moments = Moments(2)
    moments.update(torch.tensor([[1.0, 2.0], [3.0, 2.0]]))
    moments.update(torch.tensor([[5.0, 8.0]]))
    # mean (3, 4); deviations (-2, -2), (0, -2), (2, 4): sums 8, 12, 24 over n - 1 = 2
    assert moments.count == 3
    assert moments.mean.tolist() == [3, 4]
    assert moments.covariance.tolist() == [[4, 6], [6, 12]]
    assert moments.covariance.dtype == torch.float64


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_order_and_batch_size_do_not_matter(batch: int) -> None:
    features = torch.randn(64, 5) * 3 + 100
    reference = torch.cov(features.double().T)
    streamed = Moments(5)
    for start in range(0, 64, batch):
        streamed.update(features.flip(0)[start : start + batch])
    torch.testing.assert_close(streamed.covariance, reference, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(streamed.mean, features.double().mean(0), rtol=1e-12, atol=0)


def test_merge_equals_one_stream() -> None:
    features = torch.randn(30, 4)
    left, right, empty = Moments.of(features[:11]), Moments.of(features[11:]), Moments(4)
    empty.merge(left)
    empty.merge(right)
    empty.merge(Moments(4))
    assert empty.count == 30
    torch.testing.assert_close(empty.covariance, torch.cov(features.double().T), rtol=1e-12, atol=1e-12)


def test_large_offset_does_not_cancel() -> None:
    moments = Moments(1)
    for value in (1e9, 1e9 + 1, 1e9 + 2):
        moments.update(torch.tensor([[value]], dtype=torch.float64))
    assert float(moments.covariance) == 1.0


def test_covariance_of_one_image_is_refused() -> None:
    with pytest.raises(ValueError, match="two images at least, got 1"):
        _ = Moments.of(torch.zeros(1, 3)).covariance


def test_diagonal_gaussians() -> None:
    first = gaussian([0, 1, 0], [[4, 0, 0], [0, 9, 0], [0, 0, 0]])
    second = gaussian([3, 1, 4], [[1, 0, 0], [0, 16, 0], [0, 0, 25]])
    # |difference of means|² 9 + 16; Σ (√a − √b)² = 1 + 1 + 25, one variance being zero
    assert frechet_distance(first, second) == pytest.approx(25 + 27, abs=1e-9)


def test_gaussians_that_do_not_commute() -> None:
    a, b = [[2.0, 1.0], [1.0, 2.0]], [[3.0, 0.0], [0.0, 1.0]]
    # 2×2: tr √(AB) = √(tr AB + 2 √det AB) with tr AB = 8 and det AB = 3 · 3
    expected = 4 + 4 - 2 * (8 + 2 * 3) ** 0.5
    assert frechet_distance(gaussian([0, 0], a), gaussian([0, 0], b)) == pytest.approx(expected, abs=1e-9)
    assert frechet_distance(gaussian([0, 0], b), gaussian([0, 0], a)) == pytest.approx(expected, abs=1e-9)


def test_fewer_images_than_features() -> None:
    features = torch.randn(6, 40)

    def distance(other: Tensor) -> float:
        return frechet_distance(Moments.of(features), Moments.of(other))

    assert distance(features) == pytest.approx(0, abs=1e-5)
    assert distance(features + 0.5) == pytest.approx(40 * 0.25, abs=1e-5)
    # twice the features: mean moves by the mean, every deviation doubles: (2σ − σ)² = σ²
    expected = float(features.double().mean(0).square().sum() + Moments.of(features).covariance.trace())
    assert distance(2 * features) == pytest.approx(expected, abs=1e-5)
