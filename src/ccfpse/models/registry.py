"""The systems by name: what a config's tagged unions may hold, and which network each makes."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

from ccfpse.models.discriminators import (
    FPDiscriminator,
    FPDiscriminatorConfig,
    FPSEDiscriminator,
    FPSEDiscriminatorConfig,
    FPSESettings,
    FPSettings,
)
from ccfpse.models.generator import CCSettings, Generator, GeneratorConfig
from ccfpse.models.interface import (
    Discriminator,
    DiscriminatorSettings,
    GeneratorSettings,
    ImageGenerator,
    LayoutConfig,
    SemanticConfig,
)
from ccfpse.models.patch import (
    MsPatchDiscriminator,
    MsPatchDiscriminatorConfig,
    MsPatchSettings,
    PatchDiscriminator,
    PatchDiscriminatorConfig,
    PatchSettings,
)
from ccfpse.models.pix2pix import Pix2PixConfig, Pix2PixGenerator, Pix2PixSettings
from ccfpse.models.pix2pixhd import Pix2PixHDConfig, Pix2PixHDGenerator, Pix2PixHDSettings
from ccfpse.models.spade import SpadeConfig, SpadeGenerator, SpadeSettings

AnyGeneratorSettings = CCSettings | SpadeSettings | Pix2PixHDSettings | Pix2PixSettings
AnyDiscriminatorSettings = FPSESettings | FPSettings | MsPatchSettings | PatchSettings


class System(NamedTuple):
    """A network and its config, which is built from settings and what the data decides."""

    network: Any
    config: Any


GENERATORS = {
    "cc": System(Generator, GeneratorConfig),
    "spade": System(SpadeGenerator, SpadeConfig),
    "pix2pixhd": System(Pix2PixHDGenerator, Pix2PixHDConfig),
    "pix2pix": System(Pix2PixGenerator, Pix2PixConfig),
}
DISCRIMINATORS = {
    "fpse": System(FPSEDiscriminator, FPSEDiscriminatorConfig),
    "fp": System(FPDiscriminator, FPDiscriminatorConfig),
    "ms_patch": System(MsPatchDiscriminator, MsPatchDiscriminatorConfig),
    "patch": System(PatchDiscriminator, PatchDiscriminatorConfig),
}


def generator_config(
    settings: GeneratorSettings, *, classes: int, unknown: bool, instances: bool, size: tuple[int, int]
) -> LayoutConfig:
    """The config of the chosen generator for a label space and a training size."""
    values = {"classes": classes, "unknown": unknown, "instances": instances, "size": size}
    return generator_config_from_dict(dataclasses.asdict(settings) | values)


def generator_config_from_dict(values: Mapping[str, Any]) -> LayoutConfig:
    """The inverse of `dataclasses.asdict`; without a kind, as in the first model files, it is a "cc".

    Raises:
        ValueError: for an unknown kind or field.
    """
    numbers = dict(values)
    kind = numbers.pop("kind", "cc")
    if kind not in GENERATORS:
        raise ValueError(f"generator of kind {kind!r}, expected {' or '.join(GENERATORS)}")
    config = GENERATORS[kind].config
    if unknown := numbers.keys() - {item.name for item in dataclasses.fields(config)}:
        raise ValueError(
            f"a {kind} generator has no {', '.join(sorted(unknown))}; was the file made by a newer ccfpse?"
        )
    return config(**numbers | {"size": tuple(numbers["size"])})


def discriminator_config(settings: DiscriminatorSettings, semantic_channels: int) -> SemanticConfig:
    """The config of the chosen discriminator for a semantic map."""
    values = dataclasses.asdict(settings)
    return DISCRIMINATORS[values.pop("kind")].config(semantic_channels=semantic_channels, **values)


def build_generator(config: LayoutConfig) -> ImageGenerator:
    """A freshly initialised generator of the config's kind."""
    return GENERATORS[config.kind].network(config)


def build_discriminator(config: SemanticConfig) -> Discriminator:
    """A freshly initialised discriminator of the config's kind."""
    return DISCRIMINATORS[config.kind].network(config)
