"""The training config: overrides by name, presets, errors that name the nearest."""

import json
from pathlib import Path

import pytest

from ccfpse.presets import PRESETS, resolve
from ccfpse.settings import fields
from ccfpse.training.config import TrainConfig


def test_text_becomes_the_fields_type() -> None:
    config = TrainConfig().override(
        {
            "data.size": "256,512",
            "data.load_size": "none",
            "images": "2e3",
            "optimiser.lr_generator": "1e-3",
            "data.flip": "false",
            "loss.vgg": "weights.safetensors",
            "data.resize": "cover",
        }
    )
    assert config.data.size == (256, 512)
    assert config.data.load_size is None
    assert config.images == 2000
    assert config.optimiser.lr_generator == 0.001
    assert config.data.flip is False
    assert config.loss.vgg == "weights.safetensors"
    assert config.data.resize == "cover"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("generator.widht", "3", "did you mean 'generator.width'"),
        ("images", "many", "images is 'many', expected a whole number"),
        ("images", "1.5", "expected a whole number"),
        ("data.size", "1,2,3", "expected height,width"),
        ("data.flip", "perhaps", "expected true or false"),
        ("data.resize", "shrink", "expected stretch or cover"),
        ("images", "0", "expected 1 or more"),
    ],
)
def test_wrong_values_are_named(name: str, value: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainConfig().override({name: value})


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_json(name: str) -> None:
    config = PRESETS[name]()
    assert TrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_every_field_has_a_meaning() -> None:
    assert all(meaning for _, _, _, meaning in fields(TrainConfig()))


def test_paper_settings() -> None:
    coco, cityscapes = PRESETS["coco"](), PRESETS["cityscapes"]()
    assert (coco.optimiser.lr_generator, coco.optimiser.lr_discriminator) == (1e-4, 4e-4)
    assert (coco.loss.feature_matching, coco.loss.perceptual, coco.loss.kl) == (20, 10, 0.05)
    assert cityscapes.generator_config(35, False, True).upsamplings == 6
    assert cityscapes.data.size == (256, 512)


def test_file_lies_over_the_preset_and_flags_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("images: 500\ngenerator:\n  width: 7\n")
    config = resolve("facades", file, {"generator.width": "9"})
    assert (config.images, config.generator.width) == (500, 9)
    with pytest.raises(ValueError, match="did you mean 'facades'"):
        resolve("facade", None, {})
    file.write_text("- no mapping")
    with pytest.raises(ValueError, match="expected a mapping"):
        resolve("facades", file, {})
