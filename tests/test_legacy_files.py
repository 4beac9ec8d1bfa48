"""Files by the name of released weights that hold something else: each is refused by its name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from ccfpse import cli, legacy
from ccfpse.checkpoint import Model
from ccfpse.legacy.names import names_for
from ccfpse.models import Pix2PixHDConfig, build_generator

PAGE = b"<!DOCTYPE html><html>Too many requests</html>"


def refusal(path: Path) -> str:
    """What is said of a file, behind its name."""
    with pytest.raises(ValueError, match="net_G") as caught:
        legacy.load(path.parent)
    sentence = str(caught.value)
    assert sentence.startswith(f"{path}: ")
    assert "\n" not in sentence
    assert "arbitrary code" not in sentence
    return sentence.removeprefix(f"{path}: ")


@pytest.mark.parametrize("name", ["latest_net_G.pth", "net_G.safetensors"])
def test_unreadable_files_are_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    save: Callable[..., None] = torch.save if name.endswith("pth") else save_file
    save({"conv_img.weight": torch.zeros(3, 64, 3, 3)}, path)
    whole = path.read_bytes()
    for content in (b"", PAGE, whole[:200], whole[: len(whole) // 2], whole[:-30], PAGE + whole[45:]):
        path.write_bytes(content)
        said = refusal(path)
        assert said.startswith("not a readable file of weights (")
        assert said.endswith("); delete it and download it again")


@pytest.mark.parametrize(
    "saved",
    [
        {"state_dict": {"conv_img.weight": torch.zeros(3, 64, 3, 3)}},
        {"conv_img.weight": torch.zeros(3, 64, 3, 3), "epoch": 50},
        {0: torch.zeros(1)},
        [torch.zeros(1)],
        torch.zeros(1),
    ],
)
def test_what_is_no_state_dict_is_named(tmp_path: Path, saved: Any) -> None:
    torch.save(saved, tmp_path / "latest_net_G.pth")
    assert refusal(tmp_path / "latest_net_G.pth").startswith("not a state dict of tensors; ")


@pytest.mark.parametrize(
    "shapes",
    [
        {"conv_img.weight": (), "fc.weight": (4, 4)},
        {"conv_img.weight": (3, 0, 3, 3), "fc.weight": (4, 4)},
        {"conv_img.weight": (3, 1, 3, 3), "fc.weight": (), "head_0.gen_weights1.0.weight": (4,)},
        {"model.1.0.weight": ()},
        {"model.1.0.weight": (2, 3, 7, 7)},
        {"model.1.0.weight": (2, 3, 7, 7), "model.last.weight": (1,)},
    ],
)
def test_shapes_of_no_network_are_named(tmp_path: Path, shapes: dict[str, tuple[int, ...]]) -> None:
    torch.save({key: torch.zeros(shape) for key, shape in shapes.items()}, tmp_path / "net_G.pth")
    said = refusal(tmp_path / "net_G.pth")
    assert said.startswith("its tensors make no network (")
    assert said.endswith("); is this a released checkpoint?")


def released(folder: Path, classes: int, **options: Any) -> Path:
    """A folder with the smallest of networks, its tensors called as in released files."""
    network = build_generator(
        Pix2PixHDConfig(classes=classes, size=(64, 64), width=2, halvings=1, blocks=1, **options)
    )
    rename = names_for(network)
    torch.save(
        {rename(key)[0]: tensor for key, tensor in network.state_dict().items()}, folder / "latest_net_G.pth"
    )
    return folder


@pytest.mark.parametrize(
    ("classes", "unknown", "instances", "name"),
    [(182, True, True, "playingfield"), (150, True, False, "windowpane"), (35, False, True, "rail track")],
)
def test_published_label_spaces_need_no_classes_file(
    tmp_path: Path, classes: int, unknown: bool, instances: bool, name: str
) -> None:
    source = released(tmp_path, classes, unknown=unknown, instances=instances)
    cli.convert_released(source, out=tmp_path / "model.safetensors")
    model = Model.load(tmp_path / "model.safetensors")
    assert model.label_space.classes == classes
    assert name in model.label_space.names
    assert (model.generator.config.unknown, model.generator.config.instances) == (unknown, instances)


def test_channels_of_no_published_label_space_ask_for_the_classes(tmp_path: Path) -> None:
    source = released(tmp_path, 182, unknown=False)
    with pytest.raises(ValueError, match=r"182 channels are those of no published label space; .* --classes"):
        cli.convert_released(source, out=tmp_path / "model.safetensors")
