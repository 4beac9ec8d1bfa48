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


def check(precision: Precision, device: torch.device) -> str | None:
    """What to tell of a CPU that can only imitate bfloat16; ValueError for such a GPU."""
    if precision == "bfloat16" and device.type == "cpu" and not _cpu_has_bfloat16():
        return (
            "this CPU has no instructions for bfloat16, steps take many times as long; "
            "--compute.precision=float32 is faster"
        )
    if precision == "bfloat16" and device.type == "cuda":
        with torch.cuda.device(device):
            if not torch.cuda.is_bf16_supported(including_emulation=False):
                raise ValueError(
                    f"{torch.cuda.get_device_name(device)} has no bfloat16; set compute.precision=float32"
                )
    return None


def _cpu_has_bfloat16() -> bool:
    return bool(torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported())
