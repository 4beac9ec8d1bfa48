"""Folders of images, hashes of data, the protocol."""

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from toy_pairs import SPACE, ToyPairs

from ccfpse.labels import LabelSpace
from ccfpse.metrics import Protocol, folder_identity, images_from_folder
from ccfpse.metrics.inputs import data_hash


def save(path: Path, value: int, size: tuple[int, int] = (32, 32)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), value, np.uint8)).save(path)


def test_names_of_images(tmp_path: Path) -> None:
    save(tmp_path / "toy00.png", 10)
    save(tmp_path / "toy01_10.png", 30)
    save(tmp_path / "toy01_2.png", 20)
    save(tmp_path / "toy01-1.webp", 5)
    (tmp_path / "notes.txt").touch()
    save(tmp_path / "stranger.png", 1)
    reference = ToyPairs(2)
    generate = images_from_folder(tmp_path, reference.stems, (32, 32))
    assert generate(reference.sample(0), 1, 0)[0, 0, 0, 0] == 10
    assert generate(reference.sample(1), 3, 0)[1:, 0, 0, 0].tolist() == [20, 30]  # by number, not by letter
    with pytest.raises(ValueError, match="toy00 has 1 images, but the protocol asks for 2 styles"):
        generate(reference.sample(0), 2, 0)


def test_a_stem_that_ends_in_a_number_is_itself(tmp_path: Path) -> None:
    save(tmp_path / "scene_1.png", 1)
    save(tmp_path / "scene_2.png", 2)
    generate = images_from_folder(tmp_path, ["scene_1", "scene_2"], (32, 32))
    second = dataclasses.replace(ToyPairs(1).sample(0), stem="scene_2")
    assert generate(second, 1, 0)[0, 0, 0, 0] == 2


def test_an_image_without_a_number_beside_numbered_ones_is_refused(tmp_path: Path) -> None:
    for name in ("scene-0", "scene-1", "scene-1-0", "scene-1-1"):  # two styles of `scene` and of `scene-1`
        save(tmp_path / f"{name}.png", 1)
    message = r"scene-1 has scene-1\.png beside numbered images such as scene-1-1\.png; number .*, and rename"
    with pytest.raises(ValueError, match=message):
        images_from_folder(tmp_path, ["scene", "scene-1"], (32, 32))


def test_other_sizes_are_resized_bicubically(tmp_path: Path) -> None:
    save(tmp_path / "toy00.png", 77, size=(64, 48))
    generate = images_from_folder(tmp_path, ["toy00"], (32, 40))
    images = generate(ToyPairs(1).sample(0), 1, 0)
    assert images.shape == (1, 32, 40, 3)
    assert (images == 77).all()


def test_missing_and_broken_images_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no image of 1 of 1 layouts, the first is toy00; .* toy00_0\.png"):
        images_from_folder(tmp_path / "nowhere", ["toy00"], (32, 32))
    (tmp_path / "toy00.png").write_bytes(b"no picture")
    generate = images_from_folder(tmp_path, ["toy00"], (32, 32))
    with pytest.raises(ValueError, match=r"toy00\.png: cannot be decoded"):
        generate(ToyPairs(1).sample(0), 1, 0)


def test_folder_identity_follows_the_files(tmp_path: Path) -> None:
    save(tmp_path / "a.png", 1)
    first = folder_identity(tmp_path)
    assert folder_identity(tmp_path) == first
    os.utime(tmp_path / "a.png", ns=(1, 1))
    assert folder_identity(tmp_path) != first


def test_data_hash_sees_names_classes_and_pixels() -> None:
    base = data_hash(ToyPairs(5), SPACE)
    assert data_hash(ToyPairs(5), SPACE) == base
    others = [
        data_hash(ToyPairs(6), SPACE),
        data_hash(ToyPairs(5, seed=1), SPACE),
        data_hash(ToyPairs(5), LabelSpace(("a", "b"), SPACE.colors)),
    ]
    assert len({base, *others}) == 4


def test_the_papers_protocol() -> None:
    paper = Protocol.paper((256, 256), seed=3)
    assert (paper.style, paper.styles, paper.ema, paper.seed) == ("reference", 1, False, 3)
    assert paper.differences(Protocol((256, 256))) == [
        "style: 'reference' and 'prior'",
        "styles: 1 and 4",
        "seed: 3 and 0",
        "ema: False and True",
    ]


def test_a_model_has_one_image_of_a_layout_unless_styles_are_drawn() -> None:
    size = (64, 64)
    assert Protocol.of_model("default", size=size) == Protocol(size)
    assert Protocol.of_model("paper", size=size) == Protocol.paper(size)
    assert Protocol.of_model("default", size=size, style="none").styles == 1
    assert Protocol.of_model("paper", size=size, style="prior", styles=3).styles == 3
    with pytest.raises(ValueError, match="styles is 2 with style 'none', but only style 'prior' gives more"):
        Protocol.of_model("default", size=size, style="none", styles=2)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"size": (16, 64)}, r"size must be \(height, width\), 32 pixels at least, got \(16, 64\)"),
        ({"style": "photo"}, "style must be prior or reference or none, got 'photo'"),
        ({"styles": 0}, "styles must be 1 at least, got 0"),
        ({"seed": -1}, "seed must be 0 or more, got -1"),
        ({"kid_subsets": 1}, "kid_subsets must be 2"),
        ({"ignore": "none"}, "ignore must be labelled or all"),
    ],
)
def test_wrong_protocols_are_refused(changes: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Protocol(**({"size": (64, 64)} | changes))
