"""What a generator costs: parameters, and multiply-accumulates of one image, counted without computing."""

from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from ccfpse.models import ImageGenerator


@dataclass(frozen=True)
class Cost:
    """parameters: of the generator. gmac: 10⁹ multiply-accumulates of its convolutions and linear layers, for
    one image at the size it is trained at.
    """

    parameters: int
    gmac: float


def predicted_flops(
    x: torch.Size,
    hidden: torch.Size,
    weight: torch.Size,
    bias: torch.Size | None = None,
    *_: object,
    **__: object,
) -> int:
    """Operations of `ccfpse::predicted_cond_conv` by its arguments' shapes, two per multiply-accumulate.

    Predicting takes 9C·K·k² per pixel and layout, applying 9C per pixel and image.
    """
    n, c, h, w = x
    predicting = hidden[0] * h * w * weight.numel()
    applying = n * h * w * 9 * c
    return 2 * (predicting + applying)


def count(generator: ImageGenerator) -> Cost:
    """The cost of a generator, which may be on the meta device, where nothing is computed."""
    config = generator.config
    device = next(generator.parameters()).device
    semantic = torch.zeros(1, config.semantic_channels, *config.size, device=device)
    formulas = {torch.ops.ccfpse.predicted_cond_conv: predicted_flops}
    training = generator.training
    with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=formulas) as counter:
        generator.eval()(semantic)
    generator.train(training)
    parameters = sum(parameter.numel() for parameter in generator.parameters())
    return Cost(parameters, counter.get_total_flops() / 2e9)
