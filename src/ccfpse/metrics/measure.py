"""The networks that measure, applied to a few dozen pairs at a time; each result can be kept in a file."""

import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ccfpse.features import FidInception, load_inception
from ccfpse.metrics.hashes import hash_weights
from ccfpse.metrics.inputs import Pair, Segmenter
from ccfpse.metrics.lpips import Lpips, load_lpips
from ccfpse.metrics.segmentation import read_layouts
from ccfpse.pictures import to_tensor

Record = dict[str, np.ndarray]  # what was measured on one chunk of pairs, by name


@dataclass(frozen=True)
class Instruments:
    """The networks, on one device. `identity` hashes their weights and the segmenter's name, with the
    segmenter's own `identity` where its name does not tell all that its answers depend on.
    """

    inception: FidInception
    lpips: Lpips
    segmenter: Segmenter | None
    classes: int
    device: str
    batch: int = 16

    @classmethod
    def load(
        cls, weights: Path | None, segmenter: Segmenter | None, classes: int, device: str
    ) -> "Instruments":
        """Finds the public weights in the folder `weights`, or as `features.find_weights` says."""
        return cls(
            load_inception(weights).to(device), load_lpips(weights).to(device), segmenter, classes, device
        )

    @property
    def identity(self) -> str:
        own = getattr(self.segmenter, "identity", None)
        named = self.segmenter and (self.segmenter.name, *self.segmenter.predicts, *([own] if own else []))
        digest = hashlib.sha256(repr(named).encode())
        for network in (self.inception, self.lpips):
            hash_weights(digest, network)
        return digest.hexdigest()[:16]

    def real(self, pairs: Sequence[Pair]) -> Record:
        """Of the real photos: Inception features N×2048, and how the segmenter reads them."""
        photos = np.stack([pair.photo for pair in pairs])
        return {"features": self._features(photos)} | self._fidelity(pairs, photos)

    def generated(self, pairs: Sequence[Pair], images: Sequence[np.ndarray]) -> Record:
        """Of the images count×H×W×3 made for each pair: the same of the first ones, and LPIPS, N each."""
        first = np.stack([styles[0] for styles in images])
        perceptual = np.array([self._perceptual(*item) for item in zip(pairs, images, strict=True)])
        record = {"features": self._features(first)} | self._fidelity(pairs, first)
        return record | {"lpips_to_real": perceptual[:, 0], "lpips_diversity": perceptual[:, 1]}

    @torch.inference_mode()
    def _features(self, images: np.ndarray) -> np.ndarray:
        starts = range(0, len(images), self.batch)
        batches = (to_tensor(images[start : start + self.batch]) for start in starts)
        return torch.cat([self.inception((batch.to(self.device) + 1) / 2).cpu() for batch in batches]).numpy()

    @torch.inference_mode()
    def _perceptual(self, pair: Pair, styles: np.ndarray) -> tuple[float, float]:
        """LPIPS of the first style to the photo, and between the styles (NaN for a single one)."""
        features = self.lpips.features(to_tensor(np.stack([pair.photo, *styles])).to(self.device))
        to_real = self.lpips.between([x[:1] for x in features], [x[1:2] for x in features])
        diversity = self.lpips.diversity([x[1:] for x in features]) if len(styles) > 1 else float("nan")
        return float(to_real), diversity

    def _fidelity(self, pairs: Sequence[Pair], images: np.ndarray) -> Record:
        if self.segmenter is None:
            return {}
        each = read_layouts(self.segmenter, pairs, images, self.classes, self.batch)
        total = sum(each[1:], start=each[0])
        return {
            "counts": total.counts,
            "unlabelled": np.array(total.unlabelled),
            "mean_iou": np.array([one.mean_iou for one in each]),
            "accuracy_labelled": np.array([one.accuracy_labelled for one in each]),
            "accuracy_all": np.array([one.accuracy_all for one in each]),
        }


def kept(path: Path | None, measure: Callable[[], Record]) -> Record:
    """The record in `path`; measured and put there, whole or not at all, when it is absent or unreadable."""
    if path is not None and path.is_file():
        try:
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                return dict(file)
        except Exception:  # NumPy and zipfile raise what they like on damaged files
            path.unlink()
    record = measure()
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as part:
            np.savez(part, **record)  # type: ignore[arg-type]
            part.flush()
            os.fsync(part.fileno())  # before its name: a crash would else leave an empty file
        os.replace(part.name, path)
    return record
