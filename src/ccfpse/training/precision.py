"""Convolutions in bfloat16: what autocast covers."""

from typing import Literal

import torch

Precision = Literal["float32", "bfloat16"]


def autocast(precision: Precision, device: torch.device) -> torch.autocast:
    """The forward passes of a step. bfloat16 has float32's range, so that gradients need no scaling.

    Weights, their gradients and moments stay float32. Batch and instance norm compute their statistics in
    float32 from bfloat16 inputs, spectral norm leaves autocast, and the losses lie outside.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")
