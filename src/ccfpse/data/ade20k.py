"""ADE20K's scene parsing set as distributed (ADEChallengeData2016), read in place."""

from pathlib import Path

import numpy as np

from ccfpse.data.dataset import PairedDataset
from ccfpse.data.pairing import PHOTO_SUFFIXES, Entry, Fault, collect, pair
from ccfpse.data.sample import CorruptSample
from ccfpse.labels import LabelSpace, distinct_colors

# In the order of the annotation's ids 1 … 150.
LISTED = """
wall, building, sky, floor, tree, ceiling, road, bed, windowpane, grass, cabinet, sidewalk, person, earth,
door, table, mountain, plant, curtain, chair, car, water, painting, sofa, shelf, house, sea, mirror, rug,
field, armchair, seat, fence, desk, rock, wardrobe, lamp, bathtub, railing, cushion, base, box, column,
signboard, chest of drawers, counter, sand, sink, skyscraper, fireplace, refrigerator, grandstand, path,
stairs, runway, case, pool table, pillow, screen door, stairway, river, bridge, bookcase, blind, coffee
table, toilet, flower, book, hill, bench, countertop, stove, palm, kitchen island, computer, swivel chair,
boat, bar, arcade machine, hovel, bus, towel, light, truck, tower, chandelier, awning, streetlight, booth,
television receiver, airplane, dirt track, apparel, pole, land, bannister, escalator, ottoman, bottle,
buffet, poster, stage, van, ship, fountain, conveyer belt, canopy, washer, plaything, swimming pool, stool,
barrel, basket, waterfall, tent, bag, minibike, cradle, oven, ball, food, step, tank, trade name, microwave,
pot, animal, bicycle, lake, dishwasher, screen, blanket, sculpture, hood, sconce, vase, traffic light, tray,
ashcan, fan, pier, crt screen, plate, monitor, bulletin board, shower, radiator, glass, clock, flag
"""
NAMES = tuple(" ".join(name.split()) for name in LISTED.split(","))
LABEL_SPACE = LabelSpace(NAMES, distinct_colors(len(NAMES)))

FOLDER_OF = {"train": "training", "val": "validation"}


class Ade20k(PairedDataset):
    """ADE20K with 150 classes: annotation 0 (unlabelled) becomes 255, id i becomes i - 1; no instances."""

    layout = "ADE20K (ADEChallengeData2016)"
    standard = LABEL_SPACE
    expects = "images/training and annotations/training, images/validation and annotations/validation"

    @classmethod
    def splits(cls, root: str | Path) -> list[str]:
        return [
            split
            for split, folder in FOLDER_OF.items()
            if all((Path(root) / kind / folder).is_dir() for kind in ("images", "annotations"))
        ]

    def find_label_space(self) -> LabelSpace:
        return LABEL_SPACE

    def find_entries(self) -> tuple[list[Entry], list[Fault]]:
        folder = FOLDER_OF[self.split]
        photos = collect(self.root, f"images/{folder}", "photo", PHOTO_SUFFIXES)
        return pair(photos, collect(self.root, f"annotations/{folder}", "label map", (".png",)))

    def read_labels(self, entry: Entry) -> np.ndarray:
        ids = super().read_labels(entry).astype(np.int32)
        if (top := int(ids.max(initial=0))) > len(LABEL_SPACE):
            reason = f"label id {top}, but those of ADE20K end at {len(LABEL_SPACE)}"
            raise CorruptSample(self.path(entry.labels), reason, "replace or remove it")
        return np.where(ids == 0, 255, ids - 1)
