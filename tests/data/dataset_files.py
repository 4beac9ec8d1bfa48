"""Tiny data sets on disk for the tests of the data room."""

import json
from pathlib import Path

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
