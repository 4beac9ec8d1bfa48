"""Named training configurations; a preset is a function that returns one."""

import difflib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from rich.table import Table

from ccfpse.models.discriminators import FPSESettings
from ccfpse.models.generator import CCSettings
from ccfpse.models.patch import PatchSettings
from ccfpse.models.pix2pix import Pix2PixSettings
from ccfpse.settings import as_text, every_field, flatten
from ccfpse.training.config import (
    ComputeSettings,
    DataSettings,
    LossSettings,
    OptimiserSettings,
    SmallDataSettings,
    TrainConfig,
)


def coco() -> TrainConfig:
    """COCO-Stuff as in the paper: 256², instances, 200 epochs of 118k photos at batch 32."""
    return TrainConfig(images=200 * 118_287, batch=32)


def ade20k() -> TrainConfig:
    """ADE20K as in the paper: 256², no instances, 200 epochs of 20k photos at batch 32."""
    return TrainConfig(data=DataSettings(instances=False), images=200 * 20_210, batch=32)


def cityscapes() -> TrainConfig:
    """Cityscapes as in the paper: 512 wide, 256 high, deep, 200 epochs of 2,975 photos at batch 16."""
    return TrainConfig(
        data=DataSettings(size=(256, 512), load_size=None),
        generator=CCSettings(upsamplings=6),
        images=200 * 2_975,
        batch=16,
    )


def facades() -> TrainConfig:
    """128², narrow, for a few hundred photos and a laptop's CPU: the bundled model's networks."""
    return TrainConfig(
        data=DataSettings(size=(128, 128), load_size=(144, 144)),
        generator=CCSettings(
            width=24, style_dim=64, predictor_width=32, predictor_kernel=1, norm="batch_renorm"
        ),
        discriminator=FPSESettings(width=32, norm="layer"),
        encoder_width=16,
        encoder_norm="layer",
        init_gain=1.0,
        loss=LossSettings(kl=0.02, perceptual_scale=0.5),
        optimiser=OptimiserSettings(
            lr_generator=3e-4, lr_discriminator=4e-4, beta2=0.99, ema_half_life=1_000.0
        ),
        small_data=SmallDataSettings(augment="translation,cutout"),
        images=12_000,
        batch=2,
        save_every=400,
        sample_every=400,
    )


def small() -> TrainConfig:
    """256² on one consumer GPU, for a few hundred to some ten thousand photos."""
    return TrainConfig(
        data=DataSettings(workers=4),
        generator=CCSettings(width=32, predictor_width=64, predictor_kernel=1, norm="batch_renorm"),
        discriminator=FPSESettings(width=32),
        encoder_width=32,
        init_gain=1.0,
        compute=ComputeSettings(precision="bfloat16"),
        images=400_000,
        batch=4,
    )


def small128() -> TrainConfig:
    """`small` at 128²: a first answer to whether a data set works."""
    return small().override(
        {"data.size": (128, 128), "data.load_size": (143, 143), "generator.style_dim": 128, "batch": 8}
    )


def spade_coco() -> TrainConfig:
    """COCO-Stuff as in the SPADE paper (arXiv 1903.07291): multi-scale patches, feature matching 10."""
    return _spade(coco())


def spade_ade20k() -> TrainConfig:
    """ADE20K as in the SPADE paper."""
    return _spade(ade20k())


def spade_cityscapes() -> TrainConfig:
    """Cityscapes as in the SPADE paper: deep."""
    return _spade(cityscapes())


def _spade(config: TrainConfig) -> TrainConfig:
    """Other systems; what the CC-FPSE recipe sets of its generator stays set (deep, for Cityscapes)."""
    return config.override(
        {"generator.kind": "spade", "discriminator.kind": "ms_patch", "loss.feature_matching": 10.0}
    )


def pix2pix() -> TrainConfig:
    """A few hundred photos as in the pix2pix paper (arXiv 1611.07004): U-Net, 70×70 patches, cGAN + 100·L1,
    200 epochs of 400 photos at batch 1.
    """
    return TrainConfig(
        data=DataSettings(instances=False),
        generator=Pix2PixSettings(),
        discriminator=PatchSettings(),
        loss=LossSettings(adversarial="log", feature_matching=0.0, l1=100.0, perceptual=0.0),
        optimiser=OptimiserSettings(lr_generator=2e-4, lr_discriminator=2e-4, beta1=0.5, beta2=0.999),
        images=200 * 400,
        batch=1,
    )


PRESETS: dict[str, Callable[[], TrainConfig]] = {
    preset.__name__: preset
    for preset in (
        coco,
        ade20k,
        cityscapes,
        small,
        small128,
        facades,
        spade_coco,
        spade_ade20k,
        spade_cityscapes,
        pix2pix,
    )
}

DEFAULT = "facades"


def resolve(
    preset: str | None, file: Path | None, overrides: Mapping[str, Any], run: Path | None = None
) -> TrainConfig:
    """The config of a preset, then a file's fields, then overrides;
    without a preset a begun run's own config.

    Raises:
        ValueError: for an unknown preset or field (naming the nearest), or a file that cannot be read.
    """
    saved = run / "config.json" if run is not None else None
    if preset is None and saved is not None and saved.is_file():
        config = TrainConfig.load(saved)
    elif (preset or DEFAULT) in PRESETS:
        config = PRESETS[preset or DEFAULT]()
    else:
        near = difflib.get_close_matches(str(preset), PRESETS, n=1, cutoff=0.0)[0]
        raise ValueError(f"no preset {preset!r}; did you mean {near!r}? There are {', '.join(PRESETS)}")
    if file is not None:
        try:
            values = yaml.safe_load(file.read_text())
        except (OSError, yaml.YAMLError) as error:
            raise ValueError(f"{file}: cannot be read as YAML ({error})") from error
        if not isinstance(values, dict):
            raise ValueError(f"{file}: expected a mapping of field names to values")
        config = config.override(flatten(values))
    return config.override(overrides)


def describe_fields() -> Table:
    """Every field of the training config with its value in the default preset and its meaning."""
    table = Table(title=f"Fields: --FIELD=VALUE (preset {DEFAULT})", title_justify="left")
    table.add_column("field", no_wrap=True)
    table.add_column("default")
    table.add_column("meaning")
    for name, value, meaning in every_field(PRESETS[DEFAULT]()):
        table.add_row(f"--{name}", as_text(value), meaning)
    return table
