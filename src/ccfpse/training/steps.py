"""One generator step and one discriminator step, as plain functions of networks and batch."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from ccfpse import losses
from ccfpse.models import sample_style
from ccfpse.training.config import LossSettings

Losses = dict[str, torch.Tensor]


@dataclass
class Networks:
    """What trains: generator, discriminator and, where there is a style, its encoder."""

    generator: nn.Module
    discriminator: nn.Module
    encoder: nn.Module | None

    @property
    def feature_groups(self) -> int:
        """`Discriminator.feature_groups`, also where the discriminator is wrapped for many processes."""
        return getattr(self.discriminator, "module", self.discriminator).feature_groups

    def items(self) -> list[tuple[str, nn.Module]]:
        named = [
            ("generator", self.generator),
            ("discriminator", self.discriminator),
            ("encoder", self.encoder),
        ]
        return [(name, network) for name, network in named if network is not None]


@dataclass(frozen=True)
class Batch:
    """photo N×3×H×W in [-1, 1], semantic N×S×H×W, noise N×style_dim ~ N(0, I) or None without a style."""

    photo: torch.Tensor
    semantic: torch.Tensor
    noise: torch.Tensor | None


def generator_step(
    networks: Networks, batch: Batch, weights: LossSettings, perceptual: nn.Module | None
) -> tuple[Losses, torch.Tensor]:
    """Weighted losses of generator and encoder, and the generated images N×3×H×W with their graph."""
    parts: Losses = {}
    z = None
    if networks.encoder is not None:
        assert batch.noise is not None
        mu, logvar = networks.encoder(batch.photo)
        z = sample_style(mu, logvar, batch.noise)
        parts["kl"] = weights.kl * losses.kl_divergence(mu, logvar)
    fake = networks.generator(batch.semantic, z)
    scores, features = score_pair(networks.discriminator, fake, batch)
    n = len(fake)
    parts["gan"] = losses.ADVERSARIAL[weights.adversarial].generator([s[:n] for s in scores])
    if weights.feature_matching:
        parts["feature_matching"] = weights.feature_matching * losses.feature_matching(
            [f[:n] for f in features],
            [f[n:] for f in features],
            groups=networks.feature_groups,
        )
    if weights.l1:
        parts["l1"] = weights.l1 * F.l1_loss(fake, batch.photo)
    if perceptual is not None:
        parts["perceptual"] = weights.perceptual * perceptual(fake, batch.photo)
    return parts, fake


def discriminator_step(networks: Networks, batch: Batch, fake: torch.Tensor, weights: LossSettings) -> Losses:
    """The losses on the images of the generator's step (no graph) and on the photos,
    and the two accuracies.
    """
    loss = losses.ADVERSARIAL[weights.adversarial]
    scores, _ = score_pair(networks.discriminator, fake.detach(), batch)
    n = len(fake)
    fakes, reals = [s[:n] for s in scores], [s[n:] for s in scores]
    return {"d_fake": loss.fake(fakes), "d_real": loss.real(reals)} | {
        "d_accuracy_fake": torch.stack([(s < 0).float().mean() for s in fakes]).mean(),
        "d_accuracy_real": torch.stack([(s > 0).float().mean() for s in reals]).mean(),
    }


def score_pair(
    discriminator: nn.Module, fake: torch.Tensor, batch: Batch
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Scores and features of generated images and photos in one batch, generated first."""
    images = torch.cat([fake, batch.photo])
    return discriminator(images, torch.cat([batch.semantic, batch.semantic]))
