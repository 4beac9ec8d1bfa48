"""Mean and covariance of features that arrive in batches, in float64 and in constant memory."""

import torch
from torch import Tensor


class Moments:
    """Count, mean and scatter matrix; exact whatever the order and the size of the batches.

    Update and merge as in Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm for computing
    sample variances" (1979), which does not subtract large numbers from each other.
    """

    def __init__(self, dimension: int) -> None:
        self.count = 0
        self.mean = torch.zeros(dimension, dtype=torch.float64)
        self.scatter = torch.zeros(dimension, dimension, dtype=torch.float64)

    @classmethod
    def of(cls, features: Tensor) -> "Moments":
        """The moments of one batch N×D."""
        moments = cls(features.shape[1])
        features = features.to("cpu", torch.float64)
        moments.count = len(features)
        moments.mean = features.mean(0)
        centred = features - moments.mean
        moments.scatter = centred.T @ centred
        return moments

    def update(self, features: Tensor) -> None:
        """Adds a batch N×D."""
        if len(features):
            self.merge(Moments.of(features))

    def merge(self, other: "Moments") -> None:
        """Adds what another has seen, as if its batches had come here."""
        count = self.count + other.count
        if other.count == 0:
            return
        difference = other.mean - self.mean
        self.scatter += other.scatter
        self.scatter.addr_(difference, difference, alpha=self.count * other.count / count)
        self.mean += difference * (other.count / count)
        self.count = count

    @property
    def covariance(self) -> Tensor:
        """Unbiased covariance D×D float64; ValueError below two samples."""
        if self.count < 2:
            raise ValueError(f"a covariance needs two images at least, got {self.count}")
        return self.scatter / (self.count - 1)
