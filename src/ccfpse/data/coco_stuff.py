"""COCO-Stuff as distributed (pixel maps of things and stuff, instances from COCO's JSON), read in place."""

import os
from pathlib import Path

import numpy as np

from ccfpse.data.coco_annotations import AnnotationFile, read_annotations
from ccfpse.data.dataset import PairedDataset
from ccfpse.data.pairing import PHOTO_SUFFIXES, Entry, Fault, collect, pair
from ccfpse.data.sample import CorruptSample
from ccfpse.labels import LabelSpace, distinct_colors

# COCO's ids 1 … 182 in order; pixel maps hold id - 1, and 255 for no class. Eleven things never occur.
LISTED = """
person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant, street
sign, stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe,
hat, backpack, umbrella, shoe, eye glasses, handbag, tie, suitcase, frisbee, skis, snowboard, sports ball,
kite, baseball bat, baseball glove, skateboard, surfboard, tennis racket, bottle, plate, wine glass, cup,
fork, knife, spoon, bowl, banana, apple, sandwich, orange, broccoli, carrot, hot dog, pizza, donut, cake,
chair, couch, potted plant, bed, mirror, dining table, window, desk, toilet, door, tv, laptop, mouse,
remote, keyboard, cell phone, microwave, oven, toaster, sink, refrigerator, blender, book, clock, vase,
scissors, teddy bear, hair drier, toothbrush, hair brush, banner, blanket, branch, bridge, building-other,
bush, cabinet, cage, cardboard, carpet, ceiling-other, ceiling-tile, cloth, clothes, clouds, counter,
cupboard, curtain, desk-stuff, dirt, door-stuff, fence, floor-marble, floor-other, floor-stone, floor-tile,
floor-wood, flower, fog, food-other, fruit, furniture-other, grass, gravel, ground-other, hill, house,
leaves, light, mat, metal, mirror-stuff, moss, mountain, mud, napkin, net, paper, pavement, pillow,
plant-other, plastic, platform, playingfield, railing, railroad, river, road, rock, roof, rug, salad, sand,
sea, shelf, sky-other, skyscraper, snow, solid-other, stairs, stone, straw, structural-other, table, tent,
textile-other, towel, tree, vegetable, wall-brick, wall-concrete, wall-other, wall-panel, wall-stone,
wall-tile, wall-wood, water-other, waterdrops, window-blind, window-other, wood
"""
NAMES = tuple(" ".join(name.split()) for name in LISTED.split(","))
LABEL_SPACE = LabelSpace(NAMES, distinct_colors(len(NAMES)))

PHOTO_FOLDERS = ("images/{part}", "{part}")
LABEL_FOLDERS = (
    "stuffthingmaps_trainval2017/{part}",
    "stuffthingmaps/{part}",
    "annotations/{part}",
    "labels/{part}",
    "{part}",
)
INSTANCE_FILES = (
    "annotations/instances_{part}.json",
    "annotations_trainval2017/annotations/instances_{part}.json",
    "instances_{part}.json",
)


class CocoStuff(PairedDataset):
    """COCO-Stuff with 182 classes, and instances where COCO's instances_*.json lies in a usual place."""

    layout = "COCO-Stuff"
    standard = LABEL_SPACE
    expects = "train2017 or images/train2017, stuffthingmaps/train2017 or annotations/train2017 (or val)"

    @classmethod
    def splits(cls, root: str | Path) -> list[str]:
        return [split for split in ("train", "val") if all(_folders(root, f"{split}2017"))]

    def find_label_space(self) -> LabelSpace:
        return LABEL_SPACE

    def find_entries(self) -> tuple[list[Entry], list[Fault]]:
        part = f"{self.split}2017"
        photo_folder, label_folder = _folders(self.root, part)
        shared = photo_folder == label_folder
        photo_suffixes = (".jpg", ".jpeg") if shared else PHOTO_SUFFIXES
        photos = collect(self.root, photo_folder, "photo", photo_suffixes, others=shared)
        labels = collect(self.root, label_folder, "label map", (".png",), others=shared)
        entries, faults = pair(photos, labels)
        self.instances: AnnotationFile | None = None
        found = [name for form in INSTANCE_FILES if os.path.isfile(self.path(name := form.format(part=part)))]
        if found and self.reads_instances:
            self.instances = read_annotations(self.path(found[0]))
            pictures = enumerate(self.instances.pictures)
            number_of = {os.path.splitext(picture.file_name)[0]: number for number, picture in pictures}
            listed = [entry for entry in entries if entry.stem in number_of]
            faults += [
                Fault(entry.photo, f"not listed in {found[0]}", "remove it or use the set's own JSON")
                for entry in entries
                if entry.stem not in number_of
            ]
            entries = [entry._replace(instances=f"{found[0]}#{number_of[entry.stem]}") for entry in listed]
        return entries, faults

    def read_instances(self, entry: Entry, size: tuple[int, ...]) -> np.ndarray:
        assert self.instances is not None
        assert entry.instances is not None
        file, _, number = entry.instances.rpartition("#")
        try:
            return self.instances.painted(int(number), (size[0], size[1]))[0]
        except ValueError as error:
            raise CorruptSample(self.path(file), f"{entry.photo}: {error}", "repair or remove it") from None


def _folders(root: str | Path, part: str) -> tuple[str, str]:
    """The folders of photos and of label maps of train2017 or val2017; "" for one that is not there."""
    found = []
    for forms, suffixes in ((PHOTO_FOLDERS, PHOTO_SUFFIXES), (LABEL_FOLDERS, (".png",))):
        folders = (form.format(part=part) for form in forms)
        found.append(next((folder for folder in folders if _holds(root, folder, suffixes)), ""))
    photos, labels = found
    if photos == labels and not _holds(root, photos, (".jpg", ".jpeg")):
        return "", labels  # PNGs alone: photos of another layout
    return photos, labels


def _holds(root: str | Path, folder: str, suffixes: tuple[str, ...]) -> bool:
    """Whether a folder is there and holds a file of one of these kinds."""
    try:
        with os.scandir(os.path.join(root, folder)) as files:
            return any(file.name.lower().endswith(suffixes) for file in files)
    except OSError:
        return False
