"""What chunk after chunk has measured on one side, real or generated, in memory that hardly grows."""

import numpy as np
import torch

from ccfpse.metrics.measure import Record
from ccfpse.metrics.moments import Moments
from ccfpse.metrics.protocol import Protocol
from ccfpse.metrics.segmentation import Confusion

PER_IMAGE = ("lpips_to_real", "lpips_diversity", "mean_iou", "accuracy_labelled", "accuracy_all")


class Gathered:
    """Moments of two random halves, the features that KID draws from, one confusion matrix, per-image scores.

    For `images` images with D = `dimension` features each.
    `per_image` holds a float64 per image for every name in PER_IMAGE, NaN where it was not measured.
    """

    def __init__(self, images: int, dimension: int, classes: int, protocol: Protocol) -> None:
        shuffled = np.random.default_rng(protocol.seed).permutation(images)
        self._half = np.zeros(images, dtype=np.int64)
        self._half[shuffled[: images // 2]] = 1
        self._pooled = np.zeros(images, dtype=bool)
        self._pooled[np.linspace(0, images - 1, min(images, protocol.kid_pool)).astype(int)] = True
        self._pool: list[np.ndarray] = []
        self._ignore = protocol.ignore
        self.halves = (Moments(dimension), Moments(dimension))
        self.confusion = Confusion(np.zeros((classes, classes + 1), dtype=np.int64), 0)
        self.per_image = {name: np.full(images, np.nan) for name in PER_IMAGE}

    def add(self, start: int, record: Record) -> None:
        """Takes in the record of the images from index `start` on."""
        features = record["features"]
        here = slice(start, start + len(features))
        for half, moments in enumerate(self.halves):
            moments.update(torch.from_numpy(features[self._half[here] == half]))
        self._pool.append(features[self._pooled[here]])
        if "counts" in record:
            self.confusion += Confusion(record["counts"], int(record["unlabelled"]))
        for name in PER_IMAGE:
            if name in record:
                self.per_image[name][here] = record[name]

    @property
    def moments(self) -> Moments:
        """Of all images."""
        both = Moments(len(self.halves[0].mean))
        for half in self.halves:
            both.merge(half)
        return both

    @property
    def pool(self) -> torch.Tensor:
        """Features M×D for KID."""
        return torch.from_numpy(np.concatenate(self._pool))

    @property
    def pool_half(self) -> torch.Tensor:
        """For each row of `pool` the half, 0 or 1, that its image belongs to."""
        return torch.from_numpy(self._half[self._pooled])

    def perceptual(self) -> dict[str, float | None]:
        """Means over the images."""
        names = ("lpips_diversity", "lpips_to_real")
        return {name: number(self.per_image[name].mean()) for name in names}

    def fidelity(self) -> dict[str, float | None]:
        """Scores of the confusion matrix of all images together."""
        labelled, everything = self.confusion.accuracy_labelled, self.confusion.accuracy_all
        return {
            "mean_iou": number(self.confusion.mean_iou),
            "accuracy": number(labelled if self._ignore == "labelled" else everything),
            "accuracy_labelled": number(labelled),
            "accuracy_all": number(everything),
        }


def number(value: float) -> float | None:
    """A plain float for JSON, None for NaN (not measured)."""
    return None if np.isnan(value) else float(value)
