"""What a training run is told: frozen dataclasses, composed once, overridden by dotted names.

Every field carries its meaning, so that `ccfpse train --help`, the saved config and the errors agree.
"""

import dataclasses
import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ccfpse import settings
from ccfpse.models import LayoutConfig, SemanticConfig, StyleEncoderConfig
from ccfpse.models.discriminators import FPSESettings
from ccfpse.models.generator import CCSettings
from ccfpse.models.registry import (
    AnyDiscriminatorSettings,
    AnyGeneratorSettings,
    discriminator_config,
    generator_config,
)
from ccfpse.settings import setting

# Fields that runs of the past call otherwise, and values that they have otherwise.
RENAMED = {"discriminator_width": "discriminator.width"}
FORMER_VALUES = {"compute.checkpointing": {False: "kernels", True: "full"}}

TITLE = "training config"  # in errors

LEAST_VGG_SIDE = 16  # four poolings


AUGMENTATIONS = ("color", "translation", "cutout")


@dataclass(frozen=True)
class DataSettings:
    """How photos become training crops."""

    size: tuple[int, int] = setting(
        (256, 256), "height,width trained at; multiples of what the generator asks: 32 for most"
    )
    load_size: tuple[int, int] | None = setting(
        (286, 286),
        "height,width photos are resized to before a random crop of `size`; none: no crop; left out: follows "
        "`size`",
    )
    resize: Literal["stretch", "cover"] = setting(
        "stretch", "stretch to load_size, or cover it (keeps the aspect)"
    )
    flip: bool = setting(True, "mirror half of the samples")
    instances: bool | None = setting(
        None, "use the instance-edge channel; none: where the data set has instances"
    )
    workers: int = setting(2, "processes that read and decode; 0 reads in the training process")
    verify: bool = setting(
        True, "before the first step decode up to 20,000 samples and look at all other files"
    )

    def __post_init__(self) -> None:
        if min(self.size) < 1:
            raise ValueError(f"data.size is {_sides(self.size)}, expected height,width in pixels")
        if self.load_size is not None and any(a < b for a, b in zip(self.load_size, self.size, strict=True)):
            raise ValueError(
                f"data.load_size is {_sides(self.load_size)}, but data.size, which is cut out of it, is "
                f"{_sides(self.size)}; set data.load_size to that or more, or to none"
            )


@dataclass(frozen=True)
class LossSettings:
    """The adversarial loss, and the weights of the generator's others; one with weight 0 is not computed."""

    adversarial: Literal["hinge", "log"] = setting(
        "hinge", "adversarial loss: hinge, or log (cross-entropy of real and generated, as in pix2pix)"
    )
    feature_matching: float = setting(20.0, "weight of the discriminator's feature distance")
    perceptual: float = setting(10.0, "weight of the VGG feature distance; 0 needs no VGG weights")
    l1: float = setting(0.0, "weight of the pixels' L1 distance to the photo: 100 in pix2pix")
    kl: float = setting(
        0.05, "weight of the style's KL divergence, which is summed over batch and dimensions"
    )
    vgg: str | None = setting(None, "file with VGG19 or VGG16 weights; none: cache or download of VGG19")
    perceptual_scale: float = setting(
        1.0, "share of the image's size at which VGG sees it: 1 (paper); 0.5 costs a quarter"
    )
    imagenet_normalisation: bool = setting(False, "normalise images for VGG by ImageNet's mean and deviation")

    def __post_init__(self) -> None:
        if not 0 < self.perceptual_scale <= 1:
            raise ValueError(
                f"loss.perceptual_scale is {self.perceptual_scale:g}, expected above 0, at most 1"
            )


@dataclass(frozen=True)
class OptimiserSettings:
    """Adam, two time scales, and the schedule."""

    lr_generator: float = setting(1e-4, "learning rate of generator and style encoder")
    lr_discriminator: float = setting(4e-4, "learning rate of the discriminator")
    beta1: float = setting(0.0, "Adam's first decay")
    beta2: float = setting(0.9, "Adam's second decay")
    decay_from: float = setting(0.5, "share of the run after which the rate falls linearly to zero")
    warmup: int = setting(
        0, "images over which the generator's rate rises from zero, while a fresh discriminator learns"
    )
    ema_half_life: float = setting(
        10_000.0, "images after which a weight's part in the average has halved; 0: no average"
    )
    ema_ramp: float = setting(
        0.05, "the half-life is no longer than this share of the images seen, so that the start is forgotten"
    )
    clip: float = setting(
        0.0, "largest norm of the generator's (with encoder) and of the discriminator's gradient; 0: any"
    )

    def __post_init__(self) -> None:
        for item in dataclasses.fields(self):
            if (value := getattr(self, item.name)) < 0:
                raise ValueError(f"optimiser.{item.name} is {value}, expected 0 or more")


@dataclass(frozen=True)
class ComputeSettings:
    """Where and how a step is computed."""

    device: str = setting("auto", "auto (CUDA where there is one), cpu, cuda, cuda:1, …")
    precision: Literal["float32", "bfloat16"] = setting(
        "float32", "of convolutions; losses, statistics and weights are float32 in any case"
    )
    accumulate: int = setting(
        1, "parts in which a batch is computed, one after the other: less memory; batch norm sees a part"
    )
    checkpointing: Literal["none", "kernels", "selective", "full"] = setting(
        "kernels",
        "what the generator computes again in the backward pass, for less memory: none (fastest), kernels "
        "(those predicted), selective (all but other convolutions), full (its blocks)",
    )

    def __post_init__(self) -> None:
        if self.accumulate < 1:
            raise ValueError(f"compute.accumulate is {self.accumulate}, expected 1 or more")


@dataclass(frozen=True)
class SmallDataSettings:
    """What keeps the discriminator from learning a few hundred photos by heart; off by default."""

    augment: str = setting(
        "", "any of color,translation,cutout: what the discriminator sees is changed so (DiffAugment)"
    )
    r1: float = setting(0.0, "γ of the penalty γ/2·‖∂ mean score/∂ photo‖² on the discriminator; 0: none")
    r1_every: int = setting(16, "steps from one R1 penalty, which then counts as many times, to the next")

    def __post_init__(self) -> None:
        for name in self.augmentations:
            if name not in AUGMENTATIONS:
                near = difflib.get_close_matches(name, AUGMENTATIONS, n=1, cutoff=0.0)[0]
                raise ValueError(f"small_data.augment has no {name!r}; did you mean {near!r}?")
        if self.r1_every < 1 or self.r1 < 0:
            raise ValueError(
                f"small_data.r1 is {self.r1} every {self.r1_every} steps, expected 0 or more every 1 or more"
            )

    @property
    def augmentations(self) -> tuple[str, ...]:
        return tuple(name.strip() for name in self.augment.split(",") if name.strip())


@dataclass(frozen=True)
class TrainConfig:
    """A whole run."""

    data: DataSettings = field(default_factory=DataSettings)
    generator: AnyGeneratorSettings = field(
        default_factory=CCSettings, metadata={"meaning": "the generator's system"}
    )
    discriminator: AnyDiscriminatorSettings = field(
        default_factory=FPSESettings, metadata={"meaning": "the discriminator's system"}
    )
    encoder_width: int = setting(64, "channels of the style encoder's first layer")
    encoder_norm: Literal["instance", "layer"] = setting(
        "instance", "of the style encoder's layers: instance (paper), or layer: it then sees contrast, too"
    )
    init_gain: float = setting(
        0.02, "gain of Xavier initialisation: 0.02 (paper, long runs) or 1 (blocks act from the first step)"
    )
    start_from: str | None = setting(
        None,
        "bundled model, model file or run folder whose weights generator and encoder begin with, as far as "
        "they fit; none: random ones",
    )
    loss: LossSettings = field(default_factory=LossSettings)
    optimiser: OptimiserSettings = field(default_factory=OptimiserSettings)
    small_data: SmallDataSettings = field(default_factory=SmallDataSettings)
    compute: ComputeSettings = field(default_factory=ComputeSettings)
    images: int = setting(1_000_000, "length of the run, in images seen")
    batch: int = setting(4, "images per step, over all processes")
    seed: int = setting(0, "of initialisation, order, crops and styles")
    save_every: int = setting(2_000, "images between two states on disk")
    sample_every: int = setting(10_000, "images between two sample grids; 0: none")
    evaluate_every: int = setting(0, "images between two evaluations, which keep the best model; 0: none")
    evaluate_images: int = setting(2_000, "val photos evaluated on, spread over the split; 0: all")
    evaluate_segmenter: str = setting(
        "none", "what reads layouts off the images, as `ccfpse evaluate --segmenter`: own, a model, or none"
    )
    evaluate_weights: str | None = setting(
        None, "folder with Inception and AlexNet weights; none: cache or download"
    )
    attribution: str = setting("", "sentence the model file carries about its training data")

    def __post_init__(self) -> None:
        for name in ("images", "batch", "save_every", "encoder_width"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected 1 or more")
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed is {self.seed}, expected a whole number from 0 to 2^63 - 1")
        for name in ("sample_every", "evaluate_every", "evaluate_images"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected 0 or more")
        if self.batch % self.compute.accumulate:
            raise ValueError(
                f"a batch of {self.batch} cannot be computed in {self.compute.accumulate} equal parts; "
                "change batch or compute.accumulate"
            )
        if self.loss.perceptual and min(self.data.size) * self.loss.perceptual_scale < LEAST_VGG_SIDE:
            raise ValueError(
                f"loss.perceptual_scale is {self.loss.perceptual_scale:g} of {_sides(self.data.size)}, but "
                f"VGG needs {LEAST_VGG_SIDE} pixels a side; raise it, or set loss.perceptual=0"
            )

    def generator_config(self, classes: int, unknown: bool, instances: bool) -> LayoutConfig:
        """The generator for a label space."""
        return generator_config(
            self.generator, classes=classes, unknown=unknown, instances=instances, size=self.data.size
        )

    def discriminator_config(self, semantic_channels: int) -> SemanticConfig:
        """The discriminator for a semantic map."""
        return discriminator_config(self.discriminator, semantic_channels)

    def encoder_config(self) -> StyleEncoderConfig:
        """The style encoder, which sees photos at the trained height, up to 256."""
        return StyleEncoderConfig(
            width=self.encoder_width,
            style_dim=self.generator.style_dim,
            input_size=min(256, self.data.size[0]),
            norm=self.encoder_norm,
        )

    def to_dict(self) -> dict[str, Any]:
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "TrainConfig":
        """The inverse of `to_dict`; ValueError for an unknown field, naming the nearest."""
        flat = settings.flatten(values)
        for name in FORMER_VALUES.keys() & flat.keys():
            flat[name] = FORMER_VALUES[name].get(flat[name], flat[name])
        return cls().override(flat)

    @classmethod
    def load(cls, path: Path) -> "TrainConfig":
        """The config of a run's `config.json`; ValueError naming the file where it cannot be read."""
        try:
            return cls.from_dict(json.loads(path.read_text()))
        except ValueError as error:  # JSON's errors are such, too
            raise ValueError(f"{path}: {error}") from error

    def override(self, values: Mapping[str, Any]) -> "TrainConfig":
        """A config with fields replaced by dotted name (`ccfpse.settings.override`).

        `data.size` alone takes `data.load_size` along: the crop stays the same share of the photo.
        """
        named = {RENAMED.get(name, name): value for name, value in values.items()}
        if "data.size" in named and "data.load_size" not in named and (load := self.data.load_size):
            whole = settings.override(self, {"data.size": named["data.size"], "data.load_size": None}, TITLE)
            sides = zip(load, whole.data.size, self.data.size, strict=True)
            named["data.load_size"] = tuple(round(side * new / old) for side, new, old in sides)
        return settings.override(self, named, TITLE)


def _sides(size: tuple[int, int]) -> str:
    return f"{size[0]},{size[1]}"
