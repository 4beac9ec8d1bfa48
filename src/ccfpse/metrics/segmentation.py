"""How well predicted label maps agree with the true ones: IoU and pixel accuracy from a confusion matrix."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.table import Table

from ccfpse.metrics.inputs import Pair, Segmenter


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

    def table(self, names: Sequence[str]) -> Table:
        """IoU of the classes of these names, then the scores of all together, in per cent."""
        table = Table("", "%")
        for name, iou in zip(names, self.class_iou, strict=True):
            table.add_row(f"IoU of {name}", "–" if np.isnan(iou) else f"{100 * iou:.1f}")
        table.add_section()
        table.add_row("mIoU", f"{100 * self.mean_iou:.1f}")
        table.add_row("accuracy (labelled pixels)", f"{100 * self.accuracy_labelled:.1f}")
        table.add_row("accuracy (all pixels)", f"{100 * self.accuracy_all:.1f}")
        return table


def read_layouts(
    segmenter: Segmenter, pairs: Sequence[Pair], photos: np.ndarray, classes: int, batch: int = 16
) -> list[Confusion]:
    """How the segmenter reads photos N×H×W×3 uint8 made for N pairs, one confusion for each.

    Labels that the segmenter cannot predict count as unlabelled.
    """
    starts = range(0, len(photos), batch)
    predicted = np.concatenate([segmenter(photos[start : start + batch]) for start in starts])
    known = np.isin(np.arange(classes + 1), list(segmenter.predicts))
    return [
        Confusion.of(np.where(known[pair.labels], pair.labels, classes), prediction, classes)
        for pair, prediction in zip(pairs, predicted, strict=True)
    ]


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")
