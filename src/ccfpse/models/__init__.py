"""The networks: generator, discriminator, style encoder, and the semantic map they read."""

from ccfpse.models.discriminators import FPSEDiscriminator, FPSEDiscriminatorConfig
from ccfpse.models.encoder import StyleEncoder, StyleEncoderConfig, sample_style
from ccfpse.models.generator import Generator, GeneratorConfig
from ccfpse.models.semantic import instance_edges, semantic_map

__all__ = [
    "FPSEDiscriminator",
    "FPSEDiscriminatorConfig",
    "Generator",
    "GeneratorConfig",
    "StyleEncoder",
    "StyleEncoderConfig",
    "instance_edges",
    "sample_style",
    "semantic_map",
]
