"""Cityscapes' fine annotations as distributed (leftImg8bit and gtFine), read in place."""

from pathlib import Path

import numpy as np

from ccfpse.data.dataset import PairedDataset
from ccfpse.data.pairing import Entry, Fault, collect, pair
from ccfpse.labels import Color, LabelSpace

# Names and colours of the ids 0 … 33, and the licence plate (-1) as the 35th: the paper's label space.
CLASSES: dict[str, Color] = {
    "unlabeled": (0, 0, 0),
    "ego vehicle": (0, 0, 0),
    "rectification border": (0, 0, 0),
    "out of roi": (0, 0, 0),
    "static": (0, 0, 0),
    "dynamic": (111, 74, 0),
    "ground": (81, 0, 81),
    "road": (128, 64, 128),
    "sidewalk": (244, 35, 232),
    "parking": (250, 170, 160),
    "rail track": (230, 150, 140),
    "building": (70, 70, 70),
    "wall": (102, 102, 156),
    "fence": (190, 153, 153),
    "guard rail": (180, 165, 180),
    "bridge": (150, 100, 100),
    "tunnel": (150, 120, 90),
    "pole": (153, 153, 153),
    "polegroup": (153, 153, 153),
    "traffic light": (250, 170, 30),
    "traffic sign": (220, 220, 0),
    "vegetation": (107, 142, 35),
    "terrain": (152, 251, 152),
    "sky": (70, 130, 180),
    "person": (220, 20, 60),
    "rider": (255, 0, 0),
    "car": (0, 0, 142),
    "truck": (0, 0, 70),
    "bus": (0, 60, 100),
    "caravan": (0, 0, 90),
    "trailer": (0, 0, 110),
    "train": (0, 80, 100),
    "motorcycle": (0, 0, 230),
    "bicycle": (119, 11, 32),
    "license plate": (0, 0, 142),
}
LABEL_SPACE = LabelSpace(tuple(CLASSES), tuple(CLASSES.values()), ignore=None)
LICENSE_PLATE = len(CLASSES) - 1


class Cityscapes(PairedDataset):
    """Cityscapes with all 35 label ids and instances; no pixel is without a class ("unlabeled" is one).

    Label maps are gtFine's labelIds (255, which some exports write for -1, becomes the licence plate),
    instance maps its instanceIds. The test split's annotations are withheld and hence not offered.
    """

    layout = "Cityscapes"
    standard = LABEL_SPACE
    expects = "leftImg8bit/{train,val}/CITY/*_leftImg8bit.png, gtFine/{train,val}/CITY/*_gtFine_labelIds.png"

    @classmethod
    def splits(cls, root: str | Path) -> list[str]:
        return [
            split
            for split in ("train", "val")
            if all((Path(root) / kind / split).is_dir() for kind in ("leftImg8bit", "gtFine"))
        ]

    def find_label_space(self) -> LabelSpace:
        return LABEL_SPACE

    def find_entries(self) -> tuple[list[Entry], list[Fault]]:
        photos = collect(
            self.root,
            f"leftImg8bit/{self.split}",
            "photo",
            ("_leftImg8bit.png", "_leftImg8bit.jpg"),
            others=True,
        )
        labels, instances = (
            collect(self.root, f"gtFine/{self.split}", kind, (f"_gtFine_{name}.png",), others=True)
            for kind, name in (("label map", "labelIds"), ("instance map", "instanceIds"))
        )
        return pair(photos, labels, instances if self.reads_instances else None)

    def read_labels(self, entry: Entry) -> np.ndarray:
        ids = super().read_labels(entry)
        return np.where(ids == 255, np.array(LICENSE_PLATE, dtype=ids.dtype), ids)
