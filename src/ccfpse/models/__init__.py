"""The networks: generators, discriminators, style encoder, and the semantic map they read."""

from ccfpse.models.discriminators import (
    FPDiscriminator,
    FPDiscriminatorConfig,
    FPSEDiscriminator,
    FPSEDiscriminatorConfig,
)
from ccfpse.models.encoder import StyleEncoder, StyleEncoderConfig, sample_style
from ccfpse.models.generator import Generator, GeneratorConfig
from ccfpse.models.interface import Discriminator, ImageGenerator, LayoutConfig, SemanticConfig, check_size
from ccfpse.models.patch import (
    MsPatchDiscriminator,
    MsPatchDiscriminatorConfig,
    PatchDiscriminator,
    PatchDiscriminatorConfig,
)
from ccfpse.models.pix2pix import Pix2PixConfig, Pix2PixGenerator
from ccfpse.models.pix2pixhd import Pix2PixHDConfig, Pix2PixHDGenerator
from ccfpse.models.registry import build_discriminator, build_generator
from ccfpse.models.semantic import instance_edges, semantic_map
from ccfpse.models.spade import SpadeConfig, SpadeGenerator

__all__ = [
    "Discriminator",
    "FPDiscriminator",
    "FPDiscriminatorConfig",
    "FPSEDiscriminator",
    "FPSEDiscriminatorConfig",
    "Generator",
    "GeneratorConfig",
    "ImageGenerator",
    "LayoutConfig",
    "MsPatchDiscriminator",
    "MsPatchDiscriminatorConfig",
    "PatchDiscriminator",
    "PatchDiscriminatorConfig",
    "Pix2PixConfig",
    "Pix2PixGenerator",
    "Pix2PixHDConfig",
    "Pix2PixHDGenerator",
    "SemanticConfig",
    "SpadeConfig",
    "SpadeGenerator",
    "StyleEncoder",
    "StyleEncoderConfig",
    "build_discriminator",
    "build_generator",
    "check_size",
    "instance_edges",
    "sample_style",
    "semantic_map",
]
