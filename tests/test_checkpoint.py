"""Model files that are damaged or not ours: each is refused by its name, in a sentence with the cure."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from ccfpse.checkpoint import Model, load_tensors
from ccfpse.labels import LabelSpace
from ccfpse.models import Pix2PixConfig, StyleEncoder, StyleEncoderConfig, build_generator

SPACE = LabelSpace(("wall", "door", "sky"), ((1, 2, 3), (4, 5, 6), (7, 8, 9)))


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The metadata of a good file."""
    path = tmp_path_factory.mktemp("good") / "model.safetensors"
    generator = build_generator(Pix2PixConfig(3, size=(8, 8), halvings=2, width=1))
    Model(generator, StyleEncoder(StyleEncoderConfig(width=1, style_dim=2)), SPACE).save(path)
    assert Model.load(path).label_space == SPACE
    return load_tensors(path)[1]


def refusal(path: Path, metadata: str) -> str:
    """What is said of a file with this metadata, behind its name."""
    save_file({"generator.x": torch.zeros(1)}, path, {"ccfpse": metadata})
    with pytest.raises(ValueError, match=r"model\.safetensors: ") as caught:
        Model.load(path)
    sentence = str(caught.value)
    assert sentence.startswith(f"{path}: ")
    assert "\n" not in sentence
    return sentence.removeprefix(f"{path}: ")


@pytest.mark.parametrize(
    ("metadata", "what"),
    [
        ("[]", "its metadata is JSON, but list instead of an object"),
        ("null", "its metadata is JSON, but NoneType instead of an object"),
        ("[" * 100_000, "its metadata is not JSON (maximum recursion depth exceeded"),
        ('{"format": ', "its metadata is not JSON (Expecting value: line 1 column 12"),
    ],
)
def test_metadata_that_are_no_object(tmp_path: Path, metadata: str, what: str) -> None:
    said = refusal(tmp_path / "model.safetensors", metadata)
    assert said.startswith(what)
    assert said.endswith("; copy or download it again")


@pytest.mark.parametrize(
    ("part", "changes", "what"),
    [
        ("generator", None, "no 'generator'"),
        ("encoder", None, "no 'encoder'"),
        ("label_space", None, "no 'label_space'"),
        ("info", None, "no 'info'"),
        ("generator", {"size": None}, "'NoneType' object is not iterable"),
        ("generator", {"size": [8.0, 8.0]}, "size is [8.0, 8.0], expected [height, width]"),
        ("generator", {"size": [8, 8, 8]}, "size is [8, 8, 8], expected [height, width]"),
        ("generator", {"size": [float("inf"), 8]}, "cannot convert float infinity to integer"),
        ("generator", {"width": "4"}, "'str' and 'int'"),
        ("generator", {"width": 4.0}, "float"),
        ("generator", {"wide": 4}, "has no wide; was the file made by a newer ccfpse?"),
        ("generator", {"kind": []}, "unhashable"),
        ("encoder", {"width": "4"}, "str"),
        ("encoder", {"wide": 4}, "unexpected keyword argument 'wide'"),
        ("encoder", {"norm": "odd"}, "no 'odd'"),
        ("encoder", {"width": -1}, "negative dimension"),
        ("label_space", {"names": []}, "at least one class"),
    ],
)
def test_networks_that_cannot_be_built(
    tmp_path: Path, content: dict[str, Any], part: str, changes: dict[str, Any] | None, what: str
) -> None:
    broken = {key: value for key, value in content.items() if changes or key != part}
    if changes:
        broken[part] = content[part] | changes
    said = refusal(tmp_path / "model.safetensors", json.dumps(broken))
    assert said.startswith("what it says of its networks makes no model (")
    assert what in said
    assert said.endswith("); copy or download it again, or update ccfpse")


def test_a_label_space_of_other_classes(tmp_path: Path, content: dict[str, Any]) -> None:
    for names in (["wall", "door"], ["wall", "door", "sky", "balcony", "roof"]):
        other = json.dumps(content | {"label_space": {"names": names}})
        said = refusal(tmp_path / "model.safetensors", other)
        assert f"(its generator has 3 classes, its label space {len(names)});" in said


def test_a_generator_without_its_classes(tmp_path: Path, content: dict[str, Any]) -> None:
    generator = {key: value for key, value in content["generator"].items() if key != "classes"}
    said = refusal(tmp_path / "model.safetensors", json.dumps(content | {"generator": generator}))
    assert "missing 1 required positional argument: 'classes'" in said
