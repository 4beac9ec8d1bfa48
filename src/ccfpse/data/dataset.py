"""The interface of all data sets: a list of files, read on demand."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from ccfpse.data.decode import decode_instances, decode_labels, decode_photo
from ccfpse.data.sample import CorruptSample, Sample
from ccfpse.data.transforms import PairedTransform
from ccfpse.labels import LabelSpace


class Entry(NamedTuple):
    """The files of one photo, relative to the data set's root."""

    stem: str
    photo: str
    labels: str
    instances: str | None


class PairedDataset:
    """Photos with label maps and, where there are any, instance maps.

    Holds file names only; workers call `sample`. `stems` identifies the samples, in the order of their index.
    """

    def __init__(
        self,
        root: str | Path,
        label_space: LabelSpace,
        entries: Sequence[Entry],
        transform: PairedTransform | None = None,
    ) -> None:
        self.root = Path(root)
        self.label_space = label_space
        self.entries = tuple(entries)
        self.transform = transform

    @property
    def stems(self) -> list[str]:
        """The samples' names."""
        return [entry.stem for entry in self.entries]

    @property
    def has_instances(self) -> bool:
        """Whether samples carry an instance map."""
        return bool(self.entries) and self.entries[0].instances is not None

    def __len__(self) -> int:
        return len(self.entries)

    def load(self, index: int) -> tuple[Image.Image, np.ndarray, np.ndarray | None]:
        """The whole sample at its own size: RGB PIL photo, H×W raw class ids, H×W instance ids or None.

        Raises CorruptSample, naming the file, for broken files and for maps of another size than the photo.
        """
        entry = self.entries[index]
        labels = self.read_labels(entry)
        photo = decode_photo(self.root / entry.photo, size=labels.shape)
        instances = self.read_instances(entry)
        if instances is not None and instances.shape != labels.shape:
            raise CorruptSample(
                self.root / (entry.instances or entry.labels),
                f"instance map is {instances.shape[0]}×{instances.shape[1]} (H×W), the label map "
                f"{labels.shape[0]}×{labels.shape[1]}; they must agree pixel for pixel",
            )
        return photo, labels, instances

    def sample(self, index: int, rng: np.random.Generator | None = None) -> Sample:
        """The sample after the transform, labels as channel numbers; random choices come from `rng` alone.

        Raises CorruptSample as `load` does, and for class ids outside the label space.
        """
        photo, labels, instances = self.load(index)
        entry = self.entries[index]
        try:
            channels = self.label_space.to_index(labels, "")
        except ValueError as error:
            raise CorruptSample(self.root / entry.labels, str(error).removeprefix(": ")) from None
        pixels = np.asarray(photo)
        if self.transform is not None:
            pixels, channels, instances = self.transform(photo, channels, instances, rng)
        return Sample(entry.stem, pixels, channels, None if instances is None else instances.astype(np.int64))

    def read_labels(self, entry: Entry) -> np.ndarray:
        """Raw class ids of one entry, H×W."""
        return decode_labels(self.root / entry.labels)

    def read_instances(self, entry: Entry) -> np.ndarray | None:
        """Instance ids of one entry, H×W, or None."""
        return None if entry.instances is None else decode_instances(self.root / entry.instances)
