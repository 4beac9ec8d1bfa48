"""KID against numbers worked out by hand."""

import pytest
import torch

from ccfpse.metrics.kid import kid, mmd2, polynomial_kernel


def test_kernel_by_hand() -> None:
    x, y = torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[4.0, 1.0]])
    # (1·4 + 2·1) / 2 + 1 = 4, cubed; 0 / 2 + 1 = 1
    assert polynomial_kernel(x, y).tolist() == [[64.0], [1.0]]


def test_mmd2_by_hand() -> None:
    x, y = torch.tensor([[0.0, 0.0], [2.0, 0.0]]), torch.tensor([[0.0, 2.0], [2.0, 2.0]])
    # within x: 1; within y: (4 / 2 + 1)³ = 27; across: 1, 1, 1 and 27, mean 7.5
    assert mmd2(x, y) == pytest.approx(1 + 27 - 15)
    assert mmd2(y, x) == pytest.approx(1 + 27 - 15)


def test_estimate_is_unbiased_for_equal_distributions() -> None:
    values = [mmd2(torch.randn(20, 8).double(), torch.randn(20, 8).double()) for _ in range(400)]
    spread = torch.tensor(values).std() / 400**0.5
    assert abs(sum(values) / 400) < 4 * spread  # the biased estimate would be near 20 spreads
    assert min(values) < 0


def test_identical_points_have_no_spread() -> None:
    # all x equal a, all y equal b: every subset gives k(a,a) + k(b,b) − 2 k(a,b) = 8 + 27 − 2 · 1 = 33
    x = torch.tensor([[2.0**0.5, 0.0]]).repeat(10, 1)
    y = torch.tensor([[0.0, 2.0]]).repeat(12, 1)
    estimate = kid(x, y, subsets=5)
    assert estimate.value == pytest.approx(33, rel=1e-5)
    assert estimate.standard_error == pytest.approx(0, abs=1e-6)
    assert estimate.subset_size == 5  # half of the smaller side


def test_standard_error_covers_the_truth_as_often_as_it_should() -> None:
    # Two Gaussians apart by a shift; truth from one very large sample.
    shift = torch.full((6,), 0.8)
    truth = mmd2(torch.randn(6000, 6).double(), torch.randn(6000, 6).double() + shift)
    covered = 0
    for seed in range(60):
        estimate = kid(torch.randn(60, 6), torch.randn(60, 6) + shift, subsets=60, seed=seed)
        covered += abs(estimate.value - truth) < 2 * estimate.standard_error
    assert covered >= 49  # about 95 % of 60 are expected


def test_subsets_follow_the_seed_and_stay_within_the_size_asked_for() -> None:
    x, y = torch.randn(50, 4), torch.randn(40, 4) + 1
    assert kid(x, y, seed=3) == kid(x, y, seed=3)
    assert kid(x, y, seed=3) != kid(x, y, seed=4)
    assert kid(x, y, subset_size=7).subset_size == 7


def test_too_few_images_are_refused() -> None:
    with pytest.raises(ValueError, match="four images at least on either side, got 3 and 50"):
        kid(torch.zeros(3, 2), torch.zeros(50, 2))
