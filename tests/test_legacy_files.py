"""Files by the name of released weights that hold something else: each is refused by its name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from ccfpse import cli, legacy
from ccfpse.checkpoint import Model
from ccfpse.legacy.names import names_for
from ccfpse.models import (
    FPSEDiscriminator,
    FPSEDiscriminatorConfig,
    Generator,
    GeneratorConfig,
    Pix2PixHDConfig,
    build_generator,
)
from ccfpse.models.layers import initialise

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


def save_released(network: nn.Module, path: Path) -> None:
    """A file of the network's tensors, called and divided as in released files."""
    rename, state = names_for(network), {}
    for key, tensor in network.state_dict().items():
        parts = rename(key)
        state |= dict(zip(parts, tensor.chunk(len(parts)) if len(parts) > 1 else [tensor], strict=True))
    torch.save({key: tensor.clone() for key, tensor in state.items()}, path)


def released(folder: Path, classes: int, **options: Any) -> Path:
    """A folder with the smallest of networks."""
    config = Pix2PixHDConfig(classes=classes, size=(64, 64), width=2, halvings=1, blocks=1, **options)
    save_released(build_generator(config), folder / "latest_net_G.pth")
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


@pytest.mark.parametrize("style_dim", [0, 4])
def test_the_released_ade20k_reads_our_ids_though_it_was_trained_on_raw_ones(
    tmp_path: Path, style_dim: int
) -> None:
    torch.manual_seed(0)
    config = GeneratorConfig(150, size=(64, 64), width=2, style_dim=style_dim, predictor_width=2)
    theirs, discriminator = Generator(config), FPSEDiscriminator(FPSEDiscriminatorConfig(151, width=2))
    for network in (theirs, discriminator):
        initialise(network, gain=1.0)
    with torch.no_grad():  # for singular vectors and statistics that belong to the weights
        for _ in range(3):
            noise = torch.rand(2, 151, 64, 64).softmax(1)
            discriminator(theirs(noise, torch.randn(2, style_dim) if style_dim else None), noise)
    save_released(theirs.eval(), tmp_path / "latest_net_G.pth")
    save_released(discriminator.eval(), tmp_path / "latest_net_D.pth")
    generator, _, judge, _ = legacy.load(tmp_path)
    assert judge is not None

    raw = torch.randint(0, 151, (1, 64, 64))
    ours = torch.where(raw == 0, 150, raw - 1)
    z = torch.randn(1, style_dim) if style_dim else None
    maps = [nn.functional.one_hot(ids, 151).permute(0, 3, 1, 2).float() for ids in (raw, ours)]
    with torch.no_grad():
        expected = theirs(maps[0], z)
        torch.testing.assert_close(generator(maps[1], z), expected)
        assert (generator(maps[0], z) - expected).abs().max() > 1e-3
        (*scores,) = discriminator(expected, maps[0])[0]
        for score, wanted in zip(judge(expected, maps[1])[0], scores, strict=True):
            torch.testing.assert_close(score, wanted)
