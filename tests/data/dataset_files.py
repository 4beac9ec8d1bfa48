"""Tiny data sets on disk for the tests of the data room."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CLASSES = {
    "names": ["sky", "wall", "door"],
    "colors": [[0, 0, 255], [200, 100, 0], [0, 128, 0]],
    "ignore": 255,
}


def write_png(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def write_jpeg(path: Path, size: tuple[int, int], color: tuple[int, int, int] = (90, 120, 150)) -> None:
    """A plain photo of (height, width)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size[::-1], color).save(path, format="JPEG")


def make_folder(
    root: Path,
    count: int = 3,
    size: tuple[int, int] = (12, 20),
    splits: tuple[str, ...] = ("train",),
    instances: bool = False,
    classes: dict | None = None,
) -> Path:
    """A sound data set folder: vertical bands of all classes and one column without a class."""
    classes = classes or CLASSES
    root.mkdir(parents=True, exist_ok=True)
    (root / "classes.json").write_text(json.dumps(classes))
    bands = np.arange(size[1]) * len(classes["names"]) // size[1]
    labels = np.tile(bands, (size[0], 1)).astype(np.uint8 if classes["ignore"] == 255 else np.uint16)
    labels[:, -1] = classes["ignore"]
    for split in splits:
        for i in range(count):
            write_jpeg(root / split / "images" / f"photo{i}.jpg", size, (40 * i % 256, 120, 150))
            write_png(root / split / "labels" / f"photo{i}.png", labels)
            if instances:
                ids = (np.arange(size[0] * size[1]).reshape(size) // 50 + 300 * i).astype(np.uint16)
                write_png(root / split / "instances" / f"photo{i}.png", ids)
    return root


STANDARD_SIZE = (3, 5)


def standard_labels(*row: int) -> np.ndarray:
    return np.tile(np.array(row, dtype=np.uint8), (STANDARD_SIZE[0], 1))


def ade20k(root: Path) -> Path:
    for folder, name in (("training", "ADE_train_00000001"), ("validation", "ADE_val_00000001")):
        write_jpeg(root / "images" / folder / f"{name}.jpg", STANDARD_SIZE)
        write_png(root / "annotations" / folder / f"{name}.png", standard_labels(0, 1, 2, 149, 150))
    (root / "objectInfo150.txt").touch()
    return root


def cityscapes(root: Path) -> Path:
    for split, city in (("train", "aachen"), ("train", "bremen"), ("val", "lindau"), ("test", "bonn")):
        stem = f"{city}_000001_000019"
        write_jpeg(root / f"leftImg8bit/{split}/{city}/{stem}_leftImg8bit.png", STANDARD_SIZE)
        fine = root / f"gtFine/{split}/{city}/{stem}_gtFine"
        write_png(Path(f"{fine}_labelIds.png"), standard_labels(0, 7, 26, 33, 255))
        ids = np.tile(np.array([0, 7, 26001, 33, 26002], dtype=np.uint16), (STANDARD_SIZE[0], 1))
        write_png(Path(f"{fine}_instanceIds.png"), ids)
        write_png(Path(f"{fine}_color.png"), np.zeros((*STANDARD_SIZE, 3), dtype=np.uint8))
        Path(f"{fine}_polygons.json").write_text("{}")
    return root


def coco_stuff(
    root: Path, photos: str = "{}", maps: str = "stuffthingmaps/{}", instances: bool = True
) -> Path:
    for part, number in (("train2017", 9), ("val2017", 139)):
        stem = f"{number:012d}"
        write_jpeg(root / photos.format(part) / f"{stem}.jpg", STANDARD_SIZE)
        write_png(root / maps.format(part) / f"{stem}.png", standard_labels(0, 0, 156, 181, 255))
        if instances:
            person = {"image_id": number, "category_id": 1, "segmentation": [[0, 0, 2, 0, 2, 3, 0, 3]]}
            content = {
                "images": [{"id": number, "file_name": f"{stem}.jpg", "height": 3, "width": 5}],
                "annotations": [person],
                "categories": [{"id": 1, "name": "person"}],
            }
            (root / "annotations").mkdir(exist_ok=True)
            (root / f"annotations/instances_{part}.json").write_text(json.dumps(content))
    return root


COCO_SIZE = (4, 6)
WALL = {"id": 10, "image_id": 7, "category_id": 9, "segmentation": [[0, 0, 6, 0, 6, 4, 0, 4]]}
DOOR = {"id": 11, "image_id": 7, "category_id": 3, "segmentation": [[1, 1, 3, 1, 3, 4, 1, 4]]}
CROWD = {
    "id": 12,
    "image_id": 8,
    "category_id": 3,
    "iscrowd": 1,
    "segmentation": {"size": [4, 6], "counts": [4, 8, 12]},
}


def coco_content(**changes: Any) -> dict[str, Any]:
    """Two pictures; categories 3 and 9, listed out of order and with gaps."""
    parts: dict[str, Any] = {
        "info": {"year": 2024, "annotations": "a word that is also a key"},
        "images": [
            {"id": 7, "file_name": "a.jpg", "height": 4, "width": 6},
            {"id": 8, "file_name": "b.jpg", "height": 4, "width": 6},
        ],
        "annotations": [CROWD, WALL, DOOR],
        "categories": [{"id": 9, "name": "wall"}, {"id": 3, "name": "door"}],
    }
    return {**parts, **changes}


def coco(root: Path, file: str = "annotations/instances_train2017.json", photos: str = "train2017") -> Path:
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / file).write_text(json.dumps(coco_content(), indent=1))
    for name in ("a.jpg", "b.jpg"):
        write_jpeg(root / photos / name, COCO_SIZE)
    return root
