"""The training config: overrides by name, presets, errors that name the nearest."""

import json
from pathlib import Path

import pytest

from ccfpse.models.discriminators import FPSESettings
from ccfpse.models.generator import CCSettings
from ccfpse.models.patch import MsPatchSettings, PatchSettings
from ccfpse.models.pix2pix import Pix2PixSettings
from ccfpse.models.pix2pixhd import Pix2PixHDSettings
from ccfpse.models.spade import SpadeSettings
from ccfpse.presets import PRESETS, resolve
from ccfpse.settings import every_field, fields
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


@pytest.mark.parametrize("seed", [2**53 + 1, 2**63 - 1])
def test_large_seeds_stay_as_they_are(seed: int) -> None:
    given = TrainConfig().override({"seed": str(seed)})
    assert given.seed == TrainConfig.from_dict(given.to_dict()).seed == seed


def test_names_that_look_like_other_things_stay_names() -> None:
    named = TrainConfig().override({"start_from": "2026-05-01", "loss.vgg": "a,b.safetensors"})
    assert (named.start_from, named.loss.vgg) == ("2026-05-01", "a,b.safetensors")
    assert TrainConfig().override({"start_from": "none"}).start_from is None


def test_a_size_takes_the_load_size_along() -> None:
    """facades: 128 cut out of 144, nine eighths."""
    facades = PRESETS["facades"]()
    for text in ("128,192", "128x192"):
        assert facades.override({"data.size": text}).data.load_size == (144, 216)
    assert facades.override({"data.size": "64"}).data.load_size == (72, 72)
    assert facades.override({"data.size": "64", "data.load_size": "80"}).data.load_size == (80, 80)
    uncut = facades.override({"data.load_size": "none"})
    assert uncut.override({"data.size": "256"}).data.load_size is None


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_read_back_as_written(preset: str) -> None:
    """To the digit: 1 would come back as 1.0, and checksums of resumed runs would differ."""
    content = PRESETS[preset]().to_dict()
    assert json.dumps(TrainConfig.from_dict(content).to_dict()) == json.dumps(content)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("optimiser.lr_generator", "-1", "optimiser.lr_generator is -1.0, expected 0 or more"),
        ("generator.widht", "3", "did you mean 'generator.width'"),
        ("optimiser.lr", "3", "did you mean 'optimiser.lr_generator'"),
        ("lr", "3", "did you mean 'optimiser.lr_generator'"),
        ("lr_d", "3", "did you mean 'optimiser.lr_discriminator'"),
        ("widht", "3", "did you mean '(generator|discriminator).width'"),
        ("ema", "3", "did you mean 'optimiser.ema_"),
        ("epochs", "3", "did you mean 'images'"),
        ("compute.bf16", "true", "did you mean 'compute.precision'"),
        ("images", "many", "images is 'many', expected a whole number"),
        ("images", "1.5", "expected a whole number"),
        ("data.size", "1,2,3", "expected height,width"),
        ("data.size", "big", "data.size is 'big', expected height,width, e.g. 256,512"),
        ("data.size", "0,64", "data.size is 0,64, expected height,width in pixels"),
        ("data.load_size", "200,300", r"data.load_size is 200,300, but data.size, .* is 256,256; set"),
        ("data.flip", "perhaps", "expected true or false"),
        ("data.resize", "shrink", "expected stretch or cover"),
        ("images", "0", "expected 1 or more"),
        ("compute.precision", "float16", "expected float32 or bfloat16"),
        ("compute.accumulate", "3", "batch of 4 cannot be computed in 3 equal parts"),
        ("small_data.augment", "color,cutuot", "did you mean 'cutout'"),
        ("small_data.r1", "-1", "expected 0 or more"),
        ("data.size", "[128,128", r"data.size is '\[128,128', expected height,width"),
        ("sample_every", "-1", "sample_every is -1, expected 0 or more"),
        ("encoder_width", "0", "encoder_width is 0, expected 1 or more"),
        ("discriminator.width", "0", r"discriminator\.width is 0, expected 1 or more"),
        ("seed", "-1", "seed is -1, expected a whole number from 0"),
        ("seed", str(2**64), "expected a whole number from 0 to 2"),
        ("optimiser.beta2", "1" + 400 * "0", "expected a number"),
        ("loss.perceptual_scale", "0", "perceptual_scale is 0, expected above 0, at most 1"),
        ("loss.perceptual_scale", "0.05", "perceptual_scale is 0.05 of 256,256, but VGG needs 16 pixels"),
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
    file.write_text("1: 2")
    with pytest.raises(ValueError, match="no field '1'"):
        resolve("facades", file, {})
    file.write_text("- no mapping")
    with pytest.raises(ValueError, match="expected a mapping"):
        resolve("facades", file, {})


def test_a_kind_has_fields_of_its_own() -> None:
    config = TrainConfig().override({"generator.halvings": "3", "generator.kind": "pix2pixhd"})
    assert config.generator == Pix2PixHDSettings(halvings=3)
    assert config.discriminator_config(4).kind == "fpse"
    with pytest.raises(ValueError, match=r"generator\.kind pix2pixhd; did you mean 'generator\.blocks'"):
        config.override({"generator.block": "3"})
    with pytest.raises(ValueError, match=r"no field 'generator\.halvings' .* with generator\.kind cc"):
        TrainConfig().override({"generator.halvings": "3"})
    with pytest.raises(ValueError, match=r"'spde', expected cc or spade or pix2pixhd or pix2pix"):
        TrainConfig().override({"generator.kind": "spde"})


def test_what_was_set_stays_set_in_another_kind() -> None:
    facades = PRESETS["facades"]()
    spade = facades.override({"generator.kind": "spade", "discriminator.kind": "ms_patch"})
    assert spade.generator == SpadeSettings(
        width=24, style_dim=64, predictor_width=32, predictor_kernel=1, norm="batch_renorm"
    )
    assert spade.discriminator == MsPatchSettings(width=32)
    assert spade.generator.layout_pyramid is False  # SPADE's own default, not CC's


def test_configs_from_before_there_were_kinds() -> None:
    old = {"generator": {"width": 3, "upsamplings": 6}, "discriminator_width": 7, "images": 5}
    config = TrainConfig.from_dict(old)
    assert config.generator == CCSettings(width=3, upsamplings=6)
    assert config.discriminator == FPSESettings(width=7)


@pytest.mark.parametrize(("former", "now"), [(False, "kernels"), (True, "full"), ("none", "none")])
def test_checkpointing_was_a_yes_or_no(former: bool | str, now: str) -> None:
    assert TrainConfig.from_dict({"compute": {"checkpointing": former}}).compute.checkpointing == now


def test_none_is_a_choices_name_where_there_is_one() -> None:
    config = TrainConfig().override({"compute.checkpointing": "none", "data.load_size": "none"})
    assert (config.compute.checkpointing, config.data.load_size) == ("none", None)


def test_kinds_in_files(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("generator: {kind: pix2pix, width: 8}\ndiscriminator: {kind: patch}\nloss: {l1: 100}\n")
    config = resolve("coco", file, {"generator.dropout": "0.25"})
    assert config.generator == Pix2PixSettings(width=8, dropout=0.25)
    assert config.discriminator == PatchSettings()
    assert TrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert config.to_dict()["generator"]["kind"] == "pix2pix"


def test_published_recipes_of_the_baselines() -> None:
    spade, pix2pix = PRESETS["spade_cityscapes"](), PRESETS["pix2pix"]()
    assert spade.generator == SpadeSettings(upsamplings=6)
    assert (spade.discriminator.kind, spade.loss.feature_matching) == ("ms_patch", 10)
    assert spade.images == PRESETS["cityscapes"]().images
    assert pix2pix.generator_config(2, True, False).size_multiple == 256
    assert (pix2pix.loss.l1, pix2pix.loss.perceptual, pix2pix.optimiser.beta1) == (100, 0, 0.5)


def test_every_field_of_every_kind_is_listed() -> None:
    listed = list(every_field(TrainConfig()))
    assert len(set(listed)) == len(listed)
    names = [name for name, _, _ in listed]
    assert {"generator.kind", "generator.gates", "generator.halvings", "discriminator.scales"} < set(names)
    assert names.count("discriminator.width") == 1  # the same in all four
    meanings = {name: meaning for name, _, meaning in listed}
    assert meanings["generator.gates"].endswith("(cc)")
    assert meanings["generator.style_dim"].endswith("(cc, spade)")
    assert meanings["discriminator.kind"].endswith("fpse, fp, ms_patch, patch")
