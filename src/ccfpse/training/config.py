"""What a training run is told: frozen dataclasses, composed once, overridden by dotted names.

Every field carries its meaning, so that `ccfpse train --help`, the saved config and the errors agree.
"""

import dataclasses
import difflib
import json
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import yaml

from ccfpse.models import FPSEDiscriminatorConfig, GeneratorConfig, StyleEncoderConfig


def setting(default: Any, meaning: str) -> Any:
    """A dataclass field with a default and its meaning in one sentence."""
    return field(default=default, metadata={"meaning": meaning})


@dataclass(frozen=True)
class DataSettings:
    """How photos become training crops."""

    size: tuple[int, int] = setting(
        (256, 256), "height,width trained at; multiples of 32 (64 with 6 upsamplings)"
    )
    load_size: tuple[int, int] | None = setting(
        (286, 286), "height,width photos are resized to before a random crop of `size`; none: no crop"
    )
    resize: Literal["stretch", "cover"] = setting(
        "stretch", "stretch to load_size, or cover it (keeps the aspect)"
    )
    flip: bool = setting(True, "mirror half of the samples")
    instances: bool | None = setting(
        None, "use the instance-edge channel; none: where the data set has instances"
    )
    workers: int = setting(2, "processes that read and decode; 0 reads in the training process")


@dataclass(frozen=True)
class GeneratorSettings:
    """The generator's shape; classes and channels come from the data."""

    width: int = setting(64, "channels of the last block")
    style_dim: int = setting(256, "length of the style vector; 0: no style, no encoder")
    upsamplings: int = setting(5, "5 (standard) or 6 (deep)")
    predictor_width: int = setting(128, "hidden channels of the kernel predictors")
    predictor_kernel: int = setting(
        3, "size of the predictors' second convolution: 3 (paper) or 1 (small, fast)"
    )
    norm: Literal["batch", "batch_renorm"] = setting(
        "batch", "batch normalisation: batch (paper), or batch_renorm for batches of a few images"
    )


@dataclass(frozen=True)
class LossSettings:
    """Weights of the generator's losses."""

    feature_matching: float = setting(20.0, "weight of the discriminator's feature distance")
    perceptual: float = setting(10.0, "weight of the VGG feature distance; 0 needs no VGG weights")
    kl: float = setting(
        0.05, "weight of the style's KL divergence, which is summed over batch and dimensions"
    )
    vgg: str | None = setting(None, "file with VGG19 or VGG16 weights; none: cache or download of VGG19")
    perceptual_scale: float = setting(
        1.0, "share of the image's size at which VGG sees it: 1 (paper); 0.5 costs a quarter"
    )
    imagenet_normalisation: bool = setting(False, "normalise images for VGG by ImageNet's mean and deviation")


@dataclass(frozen=True)
class OptimiserSettings:
    """Adam, two time scales, and the schedule."""

    lr_generator: float = setting(1e-4, "learning rate of generator and style encoder")
    lr_discriminator: float = setting(4e-4, "learning rate of the discriminator")
    beta1: float = setting(0.0, "Adam's first decay")
    beta2: float = setting(0.9, "Adam's second decay")
    decay_from: float = setting(0.5, "share of the run after which the rate falls linearly to zero")
    ema_half_life: float = setting(10_000.0, "images after which a weight's part in the average has halved")


@dataclass(frozen=True)
class TrainConfig:
    """A whole run."""

    data: DataSettings = field(default_factory=DataSettings)
    generator: GeneratorSettings = field(default_factory=GeneratorSettings)
    discriminator_width: int = setting(64, "channels of the discriminator's first layer")
    encoder_width: int = setting(64, "channels of the style encoder's first layer")
    init_gain: float = setting(
        0.02, "gain of Xavier initialisation: 0.02 (paper, long runs) or 1 (blocks act from the first step)"
    )
    loss: LossSettings = field(default_factory=LossSettings)
    optimiser: OptimiserSettings = field(default_factory=OptimiserSettings)
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
        for name in ("images", "batch", "save_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected 1 or more")
        for name in ("evaluate_every", "evaluate_images"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected 0 or more")

    def generator_config(self, classes: int, unknown: bool, instances: bool) -> GeneratorConfig:
        """The generator for a label space."""
        return GeneratorConfig(
            classes=classes,
            unknown=unknown,
            instances=instances,
            size=self.data.size,
            **dataclasses.asdict(self.generator),
        )

    def discriminator_config(self, semantic_channels: int) -> FPSEDiscriminatorConfig:
        return FPSEDiscriminatorConfig(semantic_channels, self.discriminator_width)

    def encoder_config(self) -> StyleEncoderConfig:
        """The style encoder, which sees photos at the trained height, up to 256."""
        return StyleEncoderConfig(
            width=self.encoder_width,
            style_dim=self.generator.style_dim,
            input_size=min(256, self.data.size[0]),
        )

    def to_dict(self) -> dict[str, Any]:
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "TrainConfig":
        """The inverse of `to_dict`; ValueError for an unknown field, naming the nearest."""
        return cls().override(flatten(values))

    def override(self, values: Mapping[str, Any]) -> "TrainConfig":
        """A config with fields replaced by dotted name, e.g. {"generator.width": "32"}; text is parsed as
        YAML.

        Raises:
            ValueError: for an unknown name (the nearest is named) or a value of the wrong type.
        """
        known = {name: kind for name, kind, _, _ in fields(self)}
        nested: dict[str, dict[str, Any]] = {"": {}}
        for name, value in values.items():
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
                raise ValueError(f"no field {name!r} in the training config; did you mean {near[0]!r}?")
            group, _, leaf = name.rpartition(".")
            nested.setdefault(group, {})[leaf] = _parse(name, known[name], value)
        top = nested.pop("")
        for group, changes in nested.items():
            top[group] = dataclasses.replace(getattr(self, group), **changes)
        return dataclasses.replace(self, **top)


def fields(config: Any, prefix: str = "") -> Iterator[tuple[str, Any, Any, str]]:
    """(dotted name, type, value, meaning) of every leaf of a config."""
    kinds = typing.get_type_hints(type(config))
    for item in dataclasses.fields(config):
        value = getattr(config, item.name)
        if dataclasses.is_dataclass(value):
            yield from fields(value, f"{prefix}{item.name}.")
        else:
            yield prefix + item.name, kinds[item.name], value, item.metadata["meaning"]


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested fields by dotted name."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def _parse(name: str, kind: Any, value: Any) -> Any:
    """`value` as the type `kind`; "256,512" is a tuple, "none" is None."""
    if isinstance(value, str) and kind is not str:
        text = value
        value = None if text.lower() in ("none", "null") else yaml.safe_load(text)
        if isinstance(value, str) and "," in value:
            value = [yaml.safe_load(part) for part in value.strip("()[]").split(",")]
    choices = typing.get_args(kind) if typing.get_origin(kind) in (typing.Union, types.UnionType) else (kind,)
    for choice in choices:
        try:
            return _convert(choice, value)
        except (TypeError, ValueError):
            continue
    raise ValueError(f"{name} is {value!r}, expected {_describe(kind)}")


def _convert(kind: Any, value: Any) -> Any:
    if kind is type(None):
        if value is None:
            return None
    elif typing.get_origin(kind) is Literal:
        if value in typing.get_args(kind):
            return value
    elif typing.get_origin(kind) is tuple:
        parts = [value] * 2 if isinstance(value, int) else list(value)  # "256" means 256×256
        if len(parts) == 2 and all(isinstance(part, int) for part in parts):
            return tuple(parts)
    elif kind is bool:
        if isinstance(value, bool):
            return value
    elif kind is int:
        if not isinstance(value, bool) and float(value).is_integer():  # "2e3" is text to YAML
            return int(float(value))
    elif kind is float:
        if not isinstance(value, bool):
            return float(value)
    elif isinstance(value, kind):
        return value
    raise TypeError


def _describe(kind: Any) -> str:
    if typing.get_origin(kind) is Literal:
        return " or ".join(typing.get_args(kind))
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return " or ".join(_describe(part) for part in typing.get_args(kind))
    if typing.get_origin(kind) is tuple:
        return "height,width"
    return {type(None): "none", bool: "true or false", int: "a whole number", float: "a number", str: "text"}[
        kind
    ]
