"""The training losses, each one unweighted scalar: adversarial, feature matching, perceptual, KL."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def hinge_real(scores: Sequence[torch.Tensor]) -> torch.Tensor:
    """mean(relu(1 - s)), averaged over the scales: the discriminator's loss on photos."""
    return torch.stack([F.relu(1 - s).mean() for s in scores]).mean()


def hinge_fake(scores: Sequence[torch.Tensor]) -> torch.Tensor:
    """mean(relu(1 + s)), averaged over the scales: the discriminator's loss on generated images."""
    return torch.stack([F.relu(1 + s).mean() for s in scores]).mean()


def hinge_generator(scores: Sequence[torch.Tensor]) -> torch.Tensor:
    """-mean(s), averaged over the scales."""
    return -torch.stack([s.mean() for s in scores]).mean()


def log_real(scores: Sequence[torch.Tensor]) -> torch.Tensor:
    """mean(-log σ(s)), averaged over the scales: the cross-entropy of "real"; also the generator's loss."""
    return torch.stack([F.softplus(-s).mean() for s in scores]).mean()


def log_fake(scores: Sequence[torch.Tensor]) -> torch.Tensor:
    """mean(-log(1 - σ(s))), averaged over the scales: the cross-entropy of "generated"."""
    return torch.stack([F.softplus(s).mean() for s in scores]).mean()


class Adversarial(NamedTuple):
    """The discriminator's loss on photos and on generated images, and the generator's; scores -> scalar."""

    real: Callable[[Sequence[torch.Tensor]], torch.Tensor]
    fake: Callable[[Sequence[torch.Tensor]], torch.Tensor]
    generator: Callable[[Sequence[torch.Tensor]], torch.Tensor]


ADVERSARIAL = {
    "hinge": Adversarial(hinge_real, hinge_fake, hinge_generator),
    "log": Adversarial(log_real, log_fake, log_real),
}


def feature_matching(
    fake: Sequence[torch.Tensor], real: Sequence[torch.Tensor], *, groups: int | None = None
) -> torch.Tensor:
    """L1 distances of the features, summed within each group and averaged over the groups.

    Args:
        fake, real: features as a discriminator returns them; nothing flows into the photo's.
        groups: number of equal groups (`Discriminator.feature_groups`); None: every feature is one.
    """
    distances = torch.stack([F.l1_loss(f, r.detach()) for f, r in zip(fake, real, strict=True)])
    return distances.sum() / (groups or len(distances))


def kl_divergence(mu: torch.Tensor, logvar: torch.Tensor) -> torch.Tensor:
    """-½ Σ(1 + log σ² - μ² - σ²) against N(0, I), summed over batch and dimensions."""
    return -0.5 * torch.sum(1 + logvar - mu.square() - logvar.exp())


class PerceptualLoss(nn.Module):
    """Σ wᵢ·L1 over relu1_1 … relu5_1 of a frozen VGG, w = 1/32, 1/16, 1/8, 1/4, 1.

    Args:
        features: a frozen network N×3×H×W -> five feature maps (`ccfpse.features.load_vgg`).
        imagenet_normalisation: whether images in [-1, 1] are first mapped to ImageNet's mean and deviation.
            The released models were trained without.
        scale: images are first averaged down to this share of their size; 0.5 costs a quarter.
    """

    weights = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)
    mean: torch.Tensor
    std: torch.Tensor

    def __init__(
        self, features: nn.Module, *, imagenet_normalisation: bool = False, scale: float = 1.0
    ) -> None:
        super().__init__()
        self.features = features
        self.imagenet_normalisation = imagenet_normalisation
        self.scale = scale
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(3, 1, 1), persistent=False)

    def forward(self, fake: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        """Both N×3×H×W in [-1, 1]; gradients flow into `fake` only."""
        fake_features = self.features(self._prepare(fake))
        with torch.no_grad():
            real_features = self.features(self._prepare(real))
        distances = [
            F.l1_loss(f.float(), r.float()) for f, r in zip(fake_features, real_features, strict=True)
        ]
        return sum((w * d for w, d in zip(self.weights, distances, strict=True)), fake.new_zeros(()))

    def _prepare(self, image: torch.Tensor) -> torch.Tensor:
        if self.scale != 1:
            image = F.interpolate(image, scale_factor=self.scale, mode="area")
        return ((image + 1) / 2 - self.mean) / self.std if self.imagenet_normalisation else image
