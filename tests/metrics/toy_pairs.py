"""A data set by formula: two classes, a bright block (1) on a dark ground (0), some pixels unlabelled (2)."""

from dataclasses import dataclass

import numpy as np

from ccfpse.labels import LabelSpace

SPACE = LabelSpace(("ground", "block"), ((0, 0, 0), (255, 255, 255)))


@dataclass(frozen=True)
class ToyPair:
    stem: str
    photo: np.ndarray
    labels: np.ndarray
    instances: np.ndarray | None = None


class ToyPairs:
    """`count` pairs of `size`² pixels; the block's place and the brightness follow the index and the seed."""

    def __init__(self, count: int, size: int = 32, seed: int = 0) -> None:
        self.stems = [f"toy{index:02d}" for index in range(count)]
        self.size, self.seed = size, seed

    def __len__(self) -> int:
        return len(self.stems)

    def sample(self, index: int) -> ToyPair:
        rng = np.random.default_rng([self.seed, index])
        labels = np.zeros((self.size, self.size), dtype=np.int64)
        top, left = rng.integers(0, self.size // 2, 2)
        labels[top : top + self.size // 2, left : left + self.size // 2] = 1
        photo = 60 + 120 * labels[..., None] + rng.integers(-40, 40, (self.size, self.size, 3))
        labels[0] = 2
        return ToyPair(self.stems[index], photo.astype(np.uint8), labels)


class Threshold:
    """A segmenter that takes pixels above 120 for the block."""

    name = "threshold"
    predicts = (0, 1)

    def __call__(self, photos: np.ndarray, /) -> np.ndarray:
        return (photos.mean(-1) > 120).astype(np.int64)
