"""What every data set delivers, and the exception for a file that cannot be used."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Sample:
    """One training pair, cut to the wanted size.

    photo: H×W×3 uint8. labels: H×W int64 channel numbers (`LabelSpace.to_index` of the raw ids: a pixel
    without a class is `label_space.classes`). instances: H×W int64 ids, unique within this sample only, or
    None.
    """

    stem: str
    photo: np.ndarray
    labels: np.ndarray
    instances: np.ndarray | None


class CorruptSample(ValueError):
    """A file of a data set that cannot be used: truncated, not an image, or not fitting its partner.

    `path` names the file, `reason` says what is wrong, `cure` what helps. Training skips and counts these,
    `check_dataset` lists them.
    """

    def __init__(self, path: str | Path, reason: str, cure: str = "replace or remove it") -> None:
        super().__init__(str(path), reason, cure)  # all as args, so that it can be pickled between processes
        self.path = str(path)
        self.reason = reason
        self.cure = cure

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}; {self.cure}"
