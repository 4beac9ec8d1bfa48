"""What generator and discriminator are to minimise, as plain functions of networks and batch."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from ccfpse import losses
from ccfpse.models import sample_style
from ccfpse.training.config import LossSettings
from ccfpse.training.penalty import gradient_penalty
from ccfpse.training.precision import Precision, autocast

Losses = dict[str, torch.Tensor]
Pair = tuple[torch.Tensor, torch.Tensor]


@dataclass
class Networks:
    """What trains: generator, discriminator and, where there is a style, its encoder."""

    generator: nn.Module
    discriminator: nn.Module
    encoder: nn.Module | None

    @property
    def feature_groups(self) -> int:
        """`Discriminator.feature_groups`, also where the discriminator is wrapped for many processes."""
        discriminator: Any = getattr(self.discriminator, "module", self.discriminator)
        return int(discriminator.feature_groups)

    @property
    def named(self) -> dict[str, nn.Module]:
        named = {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "encoder": self.encoder,
        }
        return {name: network for name, network in named.items() if network is not None}


@dataclass(frozen=True)
class Batch:
    """photo N×3×H×W in [-1, 1], semantic N×S×H×W, noise N×style_dim ~ N(0, I) or None without a style.

    augmentation: changes images and semantic maps before the discriminator sees them.
    """

    photo: torch.Tensor
    semantic: torch.Tensor
    noise: torch.Tensor | None
    augmentation: Callable[[torch.Tensor, torch.Tensor], Pair] | None = None


def generator_losses(
    networks: Networks,
    batch: Batch,
    weights: LossSettings,
    perceptual: nn.Module | None,
    *,
    parts: int = 1,
    precision: Precision = "float32",
) -> tuple[Losses, torch.Tensor]:
    """Weighted losses of generator and encoder, and the generated images N×3×H×W with their graph.

    parts: of how many equal parts of a batch, over whose losses one averages, this is one. The KL divergence
    is a sum over the whole batch, so here it counts that many times.
    """
    losses_of: Losses = {}
    with autocast(precision, batch.photo.device):
        z = None
        if networks.encoder is not None:
            assert batch.noise is not None
            mu, logvar = (moment.float() for moment in networks.encoder(batch.photo))
            z = sample_style(mu, logvar, batch.noise)
            if weights.kl:
                losses_of["kl"] = weights.kl * parts * losses.kl_divergence(mu, logvar)
        fake = networks.generator(batch.semantic, z).float()
        scores, features = score_pair(networks.discriminator, fake, batch)
        distance = perceptual(fake, batch.photo) if perceptual is not None else None
    n = len(fake)
    losses_of["gan"] = losses.ADVERSARIAL[weights.adversarial].generator([s[:n] for s in scores])
    if weights.feature_matching:
        losses_of["feature_matching"] = weights.feature_matching * losses.feature_matching(
            [f[:n] for f in features], [f[n:] for f in features], groups=networks.feature_groups
        )
    if weights.l1:
        losses_of["l1"] = weights.l1 * F.l1_loss(fake, batch.photo)
    if distance is not None:
        losses_of["perceptual"] = weights.perceptual * distance
    return losses_of, fake


def discriminator_losses(
    networks: Networks,
    batch: Batch,
    fake: torch.Tensor,
    weights: LossSettings,
    *,
    r1: float = 0.0,
    precision: Precision = "float32",
) -> tuple[Losses, Losses]:
    """The discriminator's losses on the images of `generator_losses` (no graph) and on the photos, and its
    two accuracies.

    r1: weight of the R1 penalty; with it the step is computed in float32.
    """
    if r1:
        batch, precision = replace(batch, photo=batch.photo.detach().requires_grad_()), "float32"
    with autocast(precision, batch.photo.device):
        scores, _ = score_pair(networks.discriminator, fake.detach(), batch)
    n = len(fake)
    fakes, reals = [s[:n] for s in scores], [s[n:] for s in scores]
    loss = losses.ADVERSARIAL[weights.adversarial]
    losses_of = {"d_fake": loss.fake(fakes), "d_real": loss.real(reals)}
    if r1:
        losses_of["d_r1"] = r1 / 2 * gradient_penalty(reals, batch.photo)
    return losses_of, {
        "d_accuracy_fake": torch.stack([(s < 0).float().mean() for s in fakes]).mean(),
        "d_accuracy_real": torch.stack([(s > 0).float().mean() for s in reals]).mean(),
    }


def score_pair(
    discriminator: nn.Module, fake: torch.Tensor, batch: Batch
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Scores and features, float32, of generated images and photos in one batch, generated first."""
    images, semantic = torch.cat([fake, batch.photo]), torch.cat([batch.semantic, batch.semantic])
    if batch.augmentation is not None:
        images, semantic = batch.augmentation(images, semantic)
    scores, features = discriminator(images, semantic)
    return [score.float() for score in scores], [feature.float() for feature in features]
