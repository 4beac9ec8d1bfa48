"""Our data set format: `classes.json` beside SPLIT/images, SPLIT/labels and, optionally, SPLIT/instances."""

import os
from pathlib import Path

from ccfpse.data.dataset import PairedDataset
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
        found = [path.name for path in root.iterdir() if os.path.isdir(path / "images")]
        return sorted(found, key=lambda name: (name != "train", name))

    def find_label_space(self) -> LabelSpace:
        return LabelSpace.load(Path(self.root) / "classes.json")

    def find_entries(self) -> tuple[list[Entry], list[Fault]]:
        photos = collect(self.root, f"{self.split}/images", "photo", PHOTO_SUFFIXES)
        labels = collect(self.root, f"{self.split}/labels", "label map", (".png",))
        instances = None
        if (Path(self.root) / self.split / "instances").is_dir():
            instances = collect(self.root, f"{self.split}/instances", "instance map", (".png",))
        return pair(photos, labels, instances)
