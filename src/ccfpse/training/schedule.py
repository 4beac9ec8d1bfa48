"""What changes during a run: pure functions of (seed, images seen, rank), so that resume is exact."""

import numpy as np
import torch

from ccfpse.training.config import OptimiserSettings, TrainConfig


def learning_rate_factor(images: int, total: int, decay_from: float) -> float:
    """1 until the share `decay_from` of the run, then linearly to 0 at its end."""
    start = decay_from * total
    return 1.0 if images < start else max(0.0, (total - images) / max(total - start, 1.0))


def learning_rates(images: int, config: TrainConfig) -> dict[str, float]:
    """The rates of the step that begins at `images`, by optimiser."""
    settings = config.optimiser
    factor = learning_rate_factor(images, config.images, settings.decay_from)
    risen = min(1.0, images / settings.warmup) if settings.warmup else 1.0
    return {
        "generator": factor * risen * settings.lr_generator,
        "discriminator": factor * settings.lr_discriminator,
    }


def r1_weight(images: int, config: TrainConfig) -> float:
    """The weight of R1 in the step that begins at `images`: r1_every·γ in one of r1_every steps, else 0."""
    settings = config.small_data
    return settings.r1 * settings.r1_every if images // config.batch % settings.r1_every == 0 else 0.0


def ema_decay(images: int, batch: int, settings: OptimiserSettings) -> float:
    """Decay of the weights' average per step;
    the half-life grows with the run so that the start is forgotten.
    """
    half_life = min(settings.ema_half_life, settings.ema_ramp * images)
    return 0.5 ** (batch / max(half_life, 1e-8))


def augmentation_draws(seed: int, first: int, count: int, numbers: int) -> torch.Tensor:
    """count×numbers uniform in [0, 1), row i for the (first + i)-th image of the run."""
    rows = [np.random.default_rng([seed, 3, first + row]).random(numbers) for row in range(count)]
    return torch.from_numpy(np.stack(rows)).float().clamp_(max=1 - 2**-24)  # rounding may reach 1


def style_noise(seed: int, first: int, count: int, style_dim: int) -> torch.Tensor:
    """count×style_dim draws of N(0, I) on the CPU, row i for the (first + i)-th image of the run."""
    rows = [np.random.default_rng([seed, 2, first + row]).standard_normal(style_dim) for row in range(count)]
    return torch.from_numpy(np.stack(rows)).float()


def dropout_seed(seed: int, images: int, rank: int = 0) -> int:
    """Seeds torch's generator, by which U-Nets drop activations, for the step that begins after `images`
    images; one of its own for each process.
    """
    return int(np.random.default_rng([seed, 4, images, rank]).integers(2**63))
