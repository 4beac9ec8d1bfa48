"""A data set of eight small pictures that can be learned, and a network small enough to train in a test."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

TINY = {
    "data.size": "64",
    "data.load_size": "70",
    "data.workers": "0",
    "generator.width": "1",
    "generator.style_dim": "4",
    "generator.predictor_width": "4",
    "generator.predictor_kernel": "1",
    "discriminator_width": "2",
    "encoder_width": "2",
    "loss.perceptual": "0",
    "batch": "2",
    "images": "24",
    "save_every": "6",
    "sample_every": "0",
}


def write_data(
    root: Path, split: str = "train", count: int = 8, seed: int = 0, instances: bool = False
) -> Path:
    rng = np.random.default_rng(seed)
    for kind in ("images", "labels", *["instances"] * instances):
        (root / split / kind).mkdir(parents=True)
    for index in range(count):
        labels = np.zeros((72, 80), np.uint8)
        labels[:, rng.integers(10, 70) :] = 1
        labels[: rng.integers(5, 20)] = 255
        photo = np.where(labels[..., None] == 1, (200, 80, 40), (30, 90, 160)) + rng.integers(
            0, 30, (72, 80, 1)
        )
        Image.fromarray(photo.astype(np.uint8)).save(root / split / "images" / f"{index}.png")
        Image.fromarray(labels).save(root / split / "labels" / f"{index}.png")
        if instances:
            Image.fromarray(labels // 2).save(root / split / "instances" / f"{index}.png")
    space = {"names": ["wall", "door"], "colors": [[30, 90, 160], [200, 80, 40]], "ignore": 255}
    (root / "classes.json").write_text(json.dumps(space))
    return root


def arguments(**changes: object) -> list[str]:
    """The flags of `ccfpse train` for the tiny network."""
    return [f"--{name}={value}" for name, value in (TINY | changes).items()]
