"""Schedules and averages by hand numbers."""

import numpy as np
import pytest
import torch
from torch import nn

from ccfpse.training import ema, schedule
from ccfpse.training.augment import Augmentation
from ccfpse.training.config import OptimiserSettings, TrainConfig


def test_rate_is_constant_then_falls_to_zero() -> None:
    factors = [schedule.learning_rate_factor(images, 100, 0.5) for images in (0, 49, 50, 75, 100)]
    assert factors == [1, 1, 1, 0.5, 0]


def test_only_the_generators_rate_rises() -> None:
    config = TrainConfig(images=1_000, optimiser=OptimiserSettings(warmup=100))
    rates = [schedule.learning_rates(images, config) for images in (0, 50, 100, 750)]
    settings = config.optimiser
    assert [r["generator"] / settings.lr_generator for r in rates] == [0, 0.5, 1, 0.5]
    assert [r["discriminator"] / settings.lr_discriminator for r in rates] == [1, 1, 1, 0.5]


def test_average_halves_after_its_half_life() -> None:
    settings = OptimiserSettings(ema_half_life=100)
    assert schedule.ema_decay(10_000, 100, settings) == pytest.approx(0.5)
    assert schedule.ema_decay(1_000, 100, settings) == pytest.approx(0.25)  # half-life 5 % of 1,000 by then
    slow = OptimiserSettings(ema_half_life=1_000, ema_ramp=0.2)
    assert schedule.ema_decay(1_000, 100, slow) == pytest.approx(0.5**0.5)
    assert schedule.ema_decay(1_000, 100, OptimiserSettings(ema_half_life=0)) == 0


def test_draws_stay_below_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest number below 1 in float64 is 1 in float32; a shift by it would leave the picture."""

    class Largest:
        def random(self, count: int) -> np.ndarray:
            return np.full(count, 1 - 2**-53)

    monkeypatch.setattr(np.random, "default_rng", lambda seed: Largest())
    draws = schedule.augmentation_draws(0, 0, 2, 7)
    assert (draws < 1).all()
    image = torch.rand(2, 3, 32, 32)
    changed, _ = Augmentation(("translation", "cutout"), draws)(image, image)
    assert changed.shape == image.shape


def test_noise_belongs_to_the_image_not_the_batch() -> None:
    whole = schedule.style_noise(3, 0, 4, 5)
    parts = torch.cat([schedule.style_noise(3, 0, 1, 5), schedule.style_noise(3, 1, 3, 5)])
    assert torch.equal(whole, parts)
    assert not torch.equal(whole, schedule.style_noise(4, 0, 4, 5))


def test_average_of_weights_and_statistics() -> None:
    network = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1))
    average = ema.averaged_copy(network)
    before = average[0].weight.item()
    with torch.no_grad():
        network[0].weight.fill_(10.0)
        network[1].running_mean.fill_(4.0)
        network[1].num_batches_tracked.fill_(7)
    ema.update(average, network, 0.75)
    assert average[0].weight.item() == pytest.approx(0.75 * before + 2.5)
    assert average[1].running_mean.item() == pytest.approx(1.0)
    assert average[1].num_batches_tracked.item() == 7
    assert not average.training
