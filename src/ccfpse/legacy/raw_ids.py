"""The released CC-FPSE of ADE20K reads the ids of the files: 0 is unlabelled, i is our class i - 1."""

from collections.abc import Iterator

import torch
from torch import nn

from ccfpse.models import Discriminator, FPSEDiscriminator, Generator, ImageGenerator
from ccfpse.models.layers import SpectralConv2d

CHANNELS = 151  # of its semantic maps


def reorder(generator: ImageGenerator, discriminator: Discriminator | None) -> None:
    """From their order of channels to ours, whose last is "unlabelled", where this is that CC-FPSE."""
    if not isinstance(generator, Generator) or generator.config.semantic_channels != CHANNELS:
        return
    for layer in _readers(generator):
        _reorder(layer)
    if isinstance(discriminator, FPSEDiscriminator):
        _reorder(discriminator.embedding)


def _readers(generator: Generator) -> Iterator[nn.Conv2d]:
    """The convolutions that read the semantic map, alone or with the pyramid's features behind it."""
    for name, layer in generator.named_modules():
        reads = name in ("start", "pyramid.encoder.0.0") or name.endswith(".hidden")
        if reads and isinstance(layer, nn.Conv2d):  # a style's start is a Linear
            yield layer


@torch.no_grad()
def _reorder(layer: nn.Conv2d) -> None:
    inputs = layer.weight[:, :CHANNELS]
    inputs.copy_(inputs.roll(-1, dims=1))
    if isinstance(layer, SpectralConv2d):  # its v has an entry for each input and place of the kernel
        inputs = layer.v.view(layer.weight.shape[1:])[:CHANNELS]
        inputs.copy_(inputs.roll(-1, dims=0))
