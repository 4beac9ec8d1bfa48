"""The losses by hand numbers."""

import math

import pytest
import torch
from torch import nn

from ccfpse import losses


def test_hinge() -> None:
    scores = [
        torch.tensor([2.0, 0.0]),
        torch.tensor([-3.0]),
    ]  # the scales weigh the same, whatever their size
    assert losses.hinge_real(scores).item() == pytest.approx((0.5 + 4.0) / 2)
    assert losses.hinge_fake(scores).item() == pytest.approx((2.0 + 0.0) / 2)
    assert losses.hinge_generator(scores).item() == pytest.approx((-1.0 + 3.0) / 2)


def test_feature_matching_moves_only_the_fake() -> None:
    fake = [torch.tensor([1.0, 3.0], requires_grad=True), torch.tensor([0.0], requires_grad=True)]
    real = [torch.tensor([0.0, 0.0], requires_grad=True), torch.tensor([4.0], requires_grad=True)]
    loss = losses.feature_matching(fake, real)
    assert loss.item() == pytest.approx((2.0 + 4.0) / 2)
    loss.backward()
    assert fake[0].grad is not None
    assert real[0].grad is None


def test_kl_is_summed_over_batch_and_dimensions() -> None:
    mu, logvar = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[0.0, 0.0], [math.log(4.0), 0.0]])
    expected = 0.5 * 1 + 0.5 * (4 - 1 - math.log(4.0)) + 0.5 * 4
    assert losses.kl_divergence(mu, logvar).item() == pytest.approx(expected)


class FiveTimesTheImage(nn.Module):
    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        return [image] * 5


@pytest.mark.parametrize(
    ("normalised", "scale"), [(False, 1.0), (True, (1 / 0.229 + 1 / 0.224 + 1 / 0.225) / 6)]
)
def test_perceptual_weights(normalised: bool, scale: float) -> None:
    loss = losses.PerceptualLoss(FiveTimesTheImage(), imagenet_normalisation=normalised)
    fake, real = torch.zeros(1, 3, 2, 2), torch.full((1, 3, 2, 2), 0.5)
    expected = (1 / 32 + 1 / 16 + 1 / 8 + 1 / 4 + 1) * 0.5 * scale
    assert loss(fake, real).item() == pytest.approx(expected, rel=1e-5)


def test_groups_of_features_add_up_and_are_averaged() -> None:
    """Distances 1, 2, 3, 6: all averaged 3; two scales of two layers (1 + 2 and 3 + 6) averaged 6."""
    fake = [torch.full((2, 3), value) for value in (1.0, 2.0, 3.0, 6.0)]
    real = [torch.zeros(2, 3)] * 4
    assert losses.feature_matching(fake, real).item() == 3
    assert losses.feature_matching(fake, real, groups=2).item() == 6


def test_log_losses_by_hand() -> None:
    """σ(ln 3) = 3/4, σ(0) = 1/2; two scales are averaged."""
    loss = losses.ADVERSARIAL["log"]
    scores = [torch.full((1, 1, 2, 2), math.log(3)), torch.zeros(1, 1, 1, 1)]
    expected = {"real": (math.log(4 / 3) + math.log(2)) / 2, "fake": (math.log(4) + math.log(2)) / 2}
    assert loss.real(scores).item() == pytest.approx(expected["real"])
    assert loss.fake(scores).item() == pytest.approx(expected["fake"])
    assert loss.generator(scores).item() == pytest.approx(expected["real"])
