"""Generators made ready for drawing: folded once, planned once per layout, painted once per style.

A kind of generator that has a fast form registers it: `fast_form.register(Kind)`; a subclass that computes
something else has to register its own. All others are drawn by the plain generator.
"""

from functools import singledispatch

import torch
from torch import nn

from ccfpse.inference.block import FastCCBlock
from ccfpse.inference.cache import LayoutCache, layout_key
from ccfpse.inference.fold import Place
from ccfpse.inference.form import Form, PlainForm
from ccfpse.inference.generator import FastGenerator
from ccfpse.inference.spade_block import FastSpadeBlock
from ccfpse.inference.timing import Stopwatch, Timings
from ccfpse.models import Generator, SpadeGenerator

__all__ = [
    "FastGenerator",
    "Form",
    "LayoutCache",
    "Place",
    "PlainForm",
    "Stopwatch",
    "Timings",
    "arithmetic",
    "fast_form",
    "layout_key",
]


@singledispatch
def fast_form(generator: nn.Module, place: Place) -> Form | None:
    """The generator's fast form on a device in a dtype; None for kinds that have none."""
    return None


@fast_form.register
def _(generator: Generator, place: Place) -> Form | None:
    return FastGenerator.of(generator, place, FastCCBlock.of)


@fast_form.register
def _(generator: SpadeGenerator, place: Place) -> Form | None:
    return FastGenerator.of(generator, place, FastSpadeBlock.of)


def arithmetic(device: torch.device, dtype: torch.dtype) -> torch.dtype:
    """`dtype`, or float32 on a CPU that has no instructions for it.

    There PyTorch's half-precision convolutions convert every number back and forth and are many times slower.
    """
    if device.type != "cpu" or dtype == torch.float32:
        return dtype
    supported = {
        torch.bfloat16: torch.ops.mkldnn._is_mkldnn_bf16_supported,
        torch.float16: torch.ops.mkldnn._is_mkldnn_fp16_supported,
    }
    return dtype if supported[dtype]() else torch.float32
