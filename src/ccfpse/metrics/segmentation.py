"""How well predicted label maps agree with the true ones: IoU and pixel accuracy from a confusion matrix."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Confusion:
    """Pixel counts, and the number of pixels without a true class.

    counts: C×(C+1) int64; rows are true classes, columns predicted ones, the last column is "none of them".
    """

    counts: np.ndarray
    unlabelled: int

    @classmethod
    def of(cls, truth: np.ndarray, predicted: np.ndarray, classes: int) -> "Confusion":
        """From integer maps of one shape; `truth` outside 0 … C-1 is unlabelled, `predicted` in 0 … C."""
        if truth.shape != predicted.shape:
            raise ValueError(
                f"true labels are {truth.shape}, predicted ones {predicted.shape}; sizes must agree"
            )
        labelled = (truth >= 0) & (truth < classes)
        cells = truth[labelled].astype(np.int64) * (classes + 1) + predicted[labelled]
        counts = np.bincount(cells, minlength=classes * (classes + 1)).reshape(classes, classes + 1)
        return cls(counts, int(truth.size - labelled.sum()))

    def __add__(self, other: "Confusion") -> "Confusion":
        return Confusion(self.counts + other.counts, self.unlabelled + other.unlabelled)

    @property
    def class_iou(self) -> np.ndarray:
        """C intersections over unions, NaN for classes neither present nor predicted on labelled pixels."""
        hits = self.counts.diagonal()
        union = self.counts.sum(0)[:-1] + self.counts.sum(1) - hits
        return np.divide(hits, union, out=np.full(len(hits), np.nan), where=union > 0)

    @property
    def mean_iou(self) -> float:
        """Mean of `class_iou` over the classes present or predicted; NaN when nothing is labelled."""
        known = self.class_iou[~np.isnan(self.class_iou)]
        return float(known.mean()) if known.size else float("nan")

    @property
    def accuracy_labelled(self) -> float:
        """Right pixels over labelled pixels; unlabelled ones are left out, as in ADE20K's own scripts."""
        return _ratio(self.counts.trace(), self.counts.sum())

    @property
    def accuracy_all(self) -> float:
        """Right pixels over all pixels: unlabelled ones count as wrong, since no network predicts them."""
        return _ratio(self.counts.trace(), self.counts.sum() + self.unlabelled)


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")
