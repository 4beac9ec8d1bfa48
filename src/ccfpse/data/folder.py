"""Our data set format: `classes.json` beside SPLIT/images, SPLIT/labels and, optionally, SPLIT/instances."""

import os
from pathlib import Path

import numpy as np

from ccfpse.data.dataset import PairedDataset
from ccfpse.data.decode import decode_labels
from ccfpse.data.indexed import refuse_colors
from ccfpse.data.pairing import PHOTO_SUFFIXES, Entry, Fault, collect, pair
from ccfpse.labels import LabelSpace


class FolderDataset(PairedDataset):
    """A split of a data set folder: photos (.jpg, .jpeg, .png, .webp), and maps as PNGs of the same names."""

    layout = "data set folder"
    expects = "classes.json, SPLIT/images and SPLIT/labels, with SPLIT usually train and val"

    @classmethod
    def splits(cls, root: str | Path) -> list[str]:
        root = Path(root)
        if not root.is_dir():
            return []
        shown = (path for path in root.iterdir() if not path.name.startswith((".", "__")))
        found = [path for path in shown if os.path.isdir(path / "images")]
        if not (root / "classes.json").exists() and not any(os.path.isdir(path / "labels") for path in found):
            return []  # a folder of other data sets
        return sorted((path.name for path in found), key=lambda name: (name != "train", name))

    def find_label_space(self) -> LabelSpace:
        return LabelSpace.load(Path(self.root) / "classes.json")

    def read_labels(self, entry: Entry) -> np.ndarray:
        name, content = self.path(entry.labels), self.content(entry.labels)
        labels = decode_labels(name, content)
        refuse_colors(name, content, labels, self.label_space, self.palettes)
        return labels

    def find_entries(self) -> tuple[list[Entry], list[Fault]]:
        photos = collect(self.root, f"{self.split}/images", "photo", PHOTO_SUFFIXES)
        labels = collect(self.root, f"{self.split}/labels", "label map", (".png",))
        instances = None
        if self.reads_instances and (Path(self.root) / self.split / "instances").is_dir():
            instances = collect(self.root, f"{self.split}/instances", "instance map", (".png",))
        return pair(photos, labels, instances)
