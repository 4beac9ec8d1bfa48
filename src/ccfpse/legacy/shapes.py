"""The variant of a released network, read off the names and shapes of its tensors."""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ccfpse.models import (
    FPSEDiscriminatorConfig,
    GeneratorConfig,
    LayoutConfig,
    MsPatchDiscriminatorConfig,
    Pix2PixHDConfig,
    SemanticConfig,
    SpadeConfig,
    StyleEncoderConfig,
)

StateDict = dict[str, torch.Tensor]

# (classes, unknown, instances) of the semantic maps of the three published label spaces, by channel count.
_PUBLISHED = {184: (182, True, True), 151: (150, True, False), 36: (35, False, True)}


@dataclass(frozen=True)
class Told:
    """What tensors do not say, where the caller knows it: see `legacy.load`."""

    size: tuple[int, int] | None
    classes: int | None
    unknown: bool
    instances: bool
    upsamplings: int | None


def shape(state: StateDict, key: str, path: Path) -> torch.Size:
    """The shape of a tensor that every such checkpoint has."""
    if key not in state:
        raise ValueError(f"{path}: tensor {key} is missing; is this a released checkpoint?")
    return state[key].shape


def generator_config(state: StateDict, path: Path, told: Told) -> LayoutConfig:
    """The config of a released CC-FPSE, SPADE or pix2pixHD (global) generator."""
    if "model.1.0.weight" in state:
        return _pix2pixhd(state, path, told)
    width = shape(state, "conv_img.weight", path)[1]
    start = shape(state, "fc.weight", path)
    cells, style_dim = (start[0] // (16 * width), start[1]) if len(start) == 2 else (None, 0)
    if "head_0.norm_0.mlp_shared.0.weight" in state and "head_0.conv_0.weight_orig" in state:
        deepest = "up_4.conv_0.weight_orig" in state
        width *= 1 + deepest  # its last block halves the width
        cells = cells and cells // (1 + deepest)
        upsamplings = 7 if deepest else told.upsamplings or 5
        predictor_width, channels = shape(state, "head_0.norm_0.mlp_shared.0.weight", path)[:2]
        return SpadeConfig(
            **_label_space(channels, path, told),
            size=told.size or _size(cells, 2**upsamplings, path),
            width=width,
            style_dim=style_dim,
            upsamplings=upsamplings,
            predictor_width=predictor_width,
            predictor_kernel=shape(state, "head_0.norm_0.mlp_gamma.weight", path)[-1],
        )
    predictor_width, channels = shape(state, "head_0.gen_weights1.0.weight", path)[:2]
    upsamplings = sum(re.fullmatch(r"labelenc\d+\.0\.0\.weight_orig", key) is not None for key in state) - 1
    if upsamplings not in (5, 6):
        raise ValueError(
            f"{path}: {upsamplings + 1} levels in the layout pyramid, expected 6 (standard) or 7 (deep)"
        )
    return GeneratorConfig(
        **_label_space(channels - width, path, told),
        size=told.size or _size(cells, 2**upsamplings, path),
        width=width,
        style_dim=style_dim,
        upsamplings=upsamplings,
        predictor_width=predictor_width,
        predictor_kernel=shape(state, "head_0.gen_weights1.2.weight", path)[-1],
    )


def _pix2pixhd(state: StateDict, path: Path, told: Told) -> Pix2PixHDConfig:
    width, channels = shape(state, "model.1.0.weight", path)[:2]
    blocks = sum(key.endswith(".conv_block.1.0.weight") for key in state)
    last = max(int(key.split(".")[1]) for key in state)  # 4 + 4·halvings + blocks
    return Pix2PixHDConfig(
        **_label_space(channels, path, told),
        size=told.size or (256, 256),
        width=width,
        halvings=(last - 4 - blocks) // 4,
        blocks=blocks,
    )


def _label_space(channels: int, path: Path, told: Told) -> dict[str, Any]:
    if told.classes is None:
        classes, unknown, instances = _PUBLISHED.get(channels, (channels, False, False))
        return {"classes": classes, "unknown": unknown, "instances": instances}
    if told.classes + told.unknown + told.instances != channels:
        raise ValueError(
            f"{path}: {told.classes} classes, unknown {told.unknown}, instances {told.instances} make "
            f"{told.classes + told.unknown + told.instances} channels, but these weights have {channels}"
        )
    return {"classes": told.classes, "unknown": told.unknown, "instances": told.instances}


def _size(cells: int | None, multiple: int, path: Path) -> tuple[int, int]:
    """Height and width whose start grid has `cells` cells: a square, or twice as wide as high; 256² without
    a style, where the size leaves no trace.
    """
    if cells is None:
        return 256, 256
    for aspect in (1, 2):
        side = math.isqrt(cells // aspect)
        if side * side * aspect == cells:
            return side * multiple, aspect * side * multiple
    raise ValueError(
        f"{path}: a start grid of {cells} cells is no square and not 1:2; pass size=(height, width)"
    )


def encoder_config(state: StateDict, path: Path) -> StyleEncoderConfig:
    """The config of a released style encoder."""
    style_dim, width = shape(state, "fc_mu.weight", path)[0], shape(state, "layer1.0.weight_orig", path)[0]
    return StyleEncoderConfig(width=width, style_dim=style_dim)


def discriminator_config(state: StateDict, path: Path) -> SemanticConfig:
    """The config of a released multi-scale patch or FPSE discriminator."""
    if "discriminator_0.model0.0.weight" in state:
        width, channels = shape(state, "discriminator_0.model0.0.weight", path)[:2]
        scales = len({key.partition(".")[0] for key in state})
        return MsPatchDiscriminatorConfig(channels - 3, width=width, scales=scales)
    twice_width, channels = shape(state, "embedding.weight", path)[:2]
    return FPSEDiscriminatorConfig(channels, width=twice_width // 2)
