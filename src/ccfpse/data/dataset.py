"""The interface of all data sets: a list of files in some layout, read on demand."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image

from ccfpse.data.decode import decode_instances, decode_labels, decode_photo
from ccfpse.data.indexed import Seen
from ccfpse.data.pairing import PHOTO_SUFFIXES, Entry, Fault
from ccfpse.data.sample import CorruptSample, Sample
from ccfpse.data.transforms import PairedTransform
from ccfpse.labels import LabelSpace


class PairedDataset(ABC):
    """A split of photos with label maps and, where there are any, instance maps.

    Opening lists names and reads no pixels; `sample` does, in whatever process calls it. `label_space`,
    `entries` and `faults` (files that do not pair up) describe the split. Faults are raised as one
    ValueError, unless `strict` is False. instances: whether instance maps are looked at where there are any.
    """

    groups: Sequence[int] | None = None  # how many samples in a row lie together, for `SampleOrder`
    remote = False  # whether files come over a network, each at a price
    palettes: Seen | None = None  # of the label maps read so far, while they are compared
    standard: ClassVar[LabelSpace | None] = None  # the classes, where the layout fixes them
    layout: ClassVar[str]  # what the layout is called
    expects: ClassVar[str]  # which files make a folder one of this layout

    def __init__(
        self,
        root: str | Path,
        split: str = "train",
        transform: PairedTransform | None = None,
        *,
        strict: bool = True,
        instances: bool = True,
    ) -> None:
        self.root = os.fspath(root).rstrip("/")
        self.split = split
        self.reads_instances = instances
        self.transform = transform
        there = self.splits(root)
        if split not in there:
            found = f"it has {', '.join(there)}" if there else f"expected {self.expects}"
            raise ValueError(f"{self.root}: no split {split!r} of a {self.layout}; {found}")
        self.label_space = self.find_label_space()
        entries, self.faults = self.find_entries()
        self.entries: Sequence[Entry] = entries
        if strict:
            self.refuse(self.faults)

    @classmethod
    @abstractmethod
    def splits(cls, root: str | Path) -> list[str]:
        """The splits in a folder, `train` first; empty when it is not of this layout."""

    @abstractmethod
    def find_label_space(self) -> LabelSpace:
        """The classes of the set."""

    @abstractmethod
    def find_entries(self) -> tuple[Sequence[Entry], list[Fault]]:
        """The complete entries of the split in a fixed order, and the faults of what is left."""

    def notes(self) -> list[str]:
        """What is worth knowing about the split besides faults, as far as it has been read."""
        return []

    @property
    def stems(self) -> list[str]:
        """The samples' names, in the order of their index."""
        return [entry.stem for entry in self.entries]

    @property
    def has_instances(self) -> bool:
        """Whether samples carry an instance map."""
        return self.reads_instances and bool(self.entries) and self.entries[0].instances is not None

    def __len__(self) -> int:
        return len(self.entries)

    @contextmanager
    def comparing_files(self) -> Iterator[None]:
        """Within it files are also refused for what only a look at others shows."""
        self.palettes = {}
        try:
            yield
        finally:
            self.palettes = None

    def load(self, index: int) -> tuple[Image.Image, np.ndarray, np.ndarray | None]:
        """The whole sample at its own size: RGB PIL photo, H×W raw class ids, H×W instance ids or None.

        Raises CorruptSample, naming the file, for broken files and for maps of another size than the photo.
        """
        entry = self.entries[index]
        labels = self.read_labels(entry)
        photo = self.read_photo(entry, labels.shape)
        instances = None
        if self.reads_instances and entry.instances is not None:
            instances = self.read_instances(entry, labels.shape)
        return photo, labels, instances

    def sample(self, index: int, rng: np.random.Generator | None = None) -> Sample:
        """The sample after the transform, labels as channel numbers; random choices come from `rng` alone.

        Raises CorruptSample as `load` does, and for class ids outside the label space.
        """
        photo, labels, instances = self.load(index)
        channels = self.to_index(self.entries[index], labels)
        pixels = np.asarray(photo)
        if self.transform is not None:
            pixels, channels, instances = self.transform(photo, channels, instances, rng)
        ids = None if instances is None else instances.astype(np.int64)
        return Sample(self.entries[index].stem, pixels, channels, ids)

    def to_index(self, entry: Entry, labels: np.ndarray) -> np.ndarray:
        """`LabelSpace.to_index`, wrong ids raising a CorruptSample that names the entry's file."""
        try:
            return self.label_space.to_index(labels, "")
        except ValueError as error:
            what, _, cure = str(error).removeprefix(": ").rpartition("; ")
            cure = cure if self.standard is None else "replace or remove it"  # its classes are fixed
            raise CorruptSample(self.path(entry.labels), what, cure) from None

    def fault(self, error: CorruptSample) -> Fault:
        """What a CorruptSample of this set says, its file relative to the root."""
        return Fault(error.path.removeprefix(f"{self.root}/"), error.reason, error.cure)

    def refuse(self, faults: Sequence[Fault]) -> None:
        """Raises one ValueError that names the first of `faults`, if there are any."""
        if faults:
            listed = "".join(f"\n  {fault}" for fault in faults[:5])
            more = f"\n  and {len(faults) - 5} more" if len(faults) > 5 else ""
            count = f"{len(faults)} fault{'s' * (len(faults) != 1)}"
            raise ValueError(f"{self.root}: {count} (`ccfpse data check` lists all){listed}{more}")

    def image_files(self, entry: Entry) -> list[str]:
        """Those files of an entry that are images on disk by themselves, not parts of a larger file."""
        return [file for file in entry[1:] if file is not None and file.lower().endswith(PHOTO_SUFFIXES)]

    def read_photo(self, entry: Entry, size: tuple[int, ...] | None = None) -> Image.Image:
        """The photo of one entry, RGB; `size` is its label map's (H, W)."""
        name = self.path(entry.photo)
        return decode_photo(name, self.content(entry.photo), None if size is None else (size[0], size[1]))

    def read_labels(self, entry: Entry) -> np.ndarray:
        """Raw class ids of one entry, H×W."""
        return decode_labels(self.path(entry.labels), self.content(entry.labels))

    def read_instances(self, entry: Entry, size: tuple[int, ...]) -> np.ndarray:
        """Instance ids of one entry that has them, H×W; `size` is its label map's (H, W)."""
        assert entry.instances is not None
        ids = decode_instances(self.path(entry.instances), self.content(entry.instances))
        if ids.shape != size:
            raise CorruptSample(
                self.path(entry.instances),
                f"instance map is {ids.shape[0]}×{ids.shape[1]} (H×W), its label map {size[0]}×{size[1]}",
                "they must agree pixel for pixel; export both at one size",
            )
        return ids

    def path(self, file: str) -> str:
        """A file of an entry as people find it."""
        return f"{self.root}/{file}"

    def content(self, file: str) -> bytes:
        """The bytes of a file of an entry; CorruptSample when it cannot be read."""
        try:
            return Path(self.path(file)).read_bytes()
        except OSError as error:
            raise CorruptSample(self.path(file), f"cannot be read ({error.strerror or error})") from None
