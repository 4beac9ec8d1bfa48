"""What the released checkpoints call our tensors. A tensor of ours may be several of theirs, stacked on the
first axis.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from ccfpse.models import (
    FPSEDiscriminator,
    Generator,
    MsPatchDiscriminator,
    Pix2PixHDGenerator,
    SpadeGenerator,
    StyleEncoder,
)

BLOCKS = ["head_0", "G_middle_0", "G_middle_1", "up_0", "up_1", "up_2", "up_3", "up_4"]

# Weights that the released CC-FPSE code declares but never uses.
DEAD = re.compile(r"\.conv_[02]\.norm_layer\.|\.norm_0\.")

_SPECTRAL = {"weight": "weight_orig", "u": "weight_u", "v": "weight_v"}
_SHORTCUT_PARTS = {
    "shortcut.norm": ["norm_s.param_free_norm"],
    "shortcut.modulation": ["norm_s.mlp_gamma", "norm_s.mlp_beta"],
}
_CC_PARTS = _SHORTCUT_PARTS | {
    "norm_1": ["norm_1"],
    "norm_2": ["norm_2"],
    "hidden": [
        "gen_weights1.0",
        "gen_weights2.0",
        "gen_se_weights1.0",
        "gen_se_weights2.0",
        "norm_s.mlp_shared.0",
    ],
    "kernels_1": ["gen_weights1.2"],
    "kernels_2": ["gen_weights2.2"],
    "gate_1": ["gen_se_weights1.2"],
    "gate_2": ["gen_se_weights2.2"],
    "mix_1": ["conv_1"],
    "mix_2": ["conv_3"],
}
_SPADE_PARTS = _SHORTCUT_PARTS | {
    "hidden": ["norm_0.mlp_shared.0", "norm_1.mlp_shared.0", "norm_s.mlp_shared.0"],
    "norm_1.norm": ["norm_0.param_free_norm"],
    "norm_1.modulation": ["norm_0.mlp_gamma", "norm_0.mlp_beta"],
    "norm_2.norm": ["norm_1.param_free_norm"],
    "norm_2.modulation": ["norm_1.mlp_gamma", "norm_1.mlp_beta"],
}
_SPECTRAL_PARTS = {"shortcut.conv": "conv_s", "conv_1": "conv_0", "conv_2": "conv_1"}

Names = Callable[[str], list[str]]


def names_for(network: nn.Module) -> Names:
    """The function from our names of the network's tensors to the released ones."""
    if isinstance(network, Generator | SpadeGenerator):
        parts = _CC_PARTS if isinstance(network, Generator) else _SPADE_PARTS
        hidden: list[Any] = [block.hidden for block in network.blocks]
        branches = [convolution.branches for convolution in hidden]
        return lambda key: _coarse_to_fine_names(key, parts, branches)
    if isinstance(network, Pix2PixHDGenerator):
        halvings, blocks = network.config.halvings, network.config.blocks
        return lambda key: [_pix2pixhd_name(key, halvings, blocks)]
    others: dict[type[nn.Module], Callable[[str], str]] = {
        FPSEDiscriminator: _fpse_name,
        MsPatchDiscriminator: _ms_patch_name,
        StyleEncoder: _encoder_name,
    }
    name = others[type(network)]
    return lambda key: [name(key)]


def _coarse_to_fine_names(key: str, parts: Mapping[str, list[str]], branches: list[int]) -> list[str]:
    module, _, leaf = key.rpartition(".")
    if module in ("start", "to_image"):
        return [f"{'fc' if module == 'start' else 'conv_img'}.{leaf}"]
    if match := re.fullmatch(r"pyramid\.(encoder|laterals|decoder)\.(\d+)\.([01])", module):
        part, index, layer = match.groups()
        name = {"encoder": "labelenc", "laterals": "labellat", "decoder": "labeldec"}[part]
        leaf = _SPECTRAL[leaf] if layer == "0" else leaf
        return [f"{name}{int(index) + 1}.0.{layer}.{leaf}"]
    _, index, part = module.split(".", 2)
    block = BLOCKS[int(index)]
    if part not in parts:
        return [f"{block}.{_SPECTRAL_PARTS[part]}.{_SPECTRAL.get(leaf, leaf)}"]
    names = parts[part][: branches[int(index)]] if part == "hidden" else parts[part]
    return [f"{block}.{name}.{leaf}" for name in names]


def _pix2pixhd_name(key: str, halvings: int, blocks: int) -> str:
    """Layers count padding, convolution with norm, activation; a residual block counts as one."""
    module, _, leaf = key.rpartition(".")
    up = 3 + 2 * halvings + blocks  # the first layer upwards
    if module == "to_image":
        return f"model.{up + 2 * halvings + 1}.{leaf}"
    index, _, inner = module.removeprefix("global_features.").partition(".")
    layer = int(index)
    if layer <= halvings:
        return f"model.{1 + 2 * layer}.0.{leaf}"
    if layer <= halvings + blocks:
        return f"model.{halvings + 2 + layer}.conv_block.{4 if inner == 'inner.1' else 1}.0.{leaf}"
    return f"model.{up + 2 * (layer - 1 - halvings - blocks)}.0.{leaf}"


def _ms_patch_name(key: str) -> str:
    _, scale, layer, rest = key.split(".", 3)
    leaf = rest.rpartition(".")[2]
    if layer == "4":
        return f"discriminator_{scale}.model4.0.{leaf}"
    inner = f"0.{leaf}" if layer == "0" else f"0.0.{_SPECTRAL[leaf]}"
    return f"discriminator_{scale}.model{layer}.{inner}"


def _fpse_name(key: str) -> str:
    module, _, leaf = key.rpartition(".")
    if module in ("real", "semantic", "embedding"):
        return f"{ {'real': 'tf', 'semantic': 'seg'}.get(module, module) }.{leaf}"
    part, index, _ = module.split(".")
    name, first = {"bottom_up": ("enc", 1), "laterals": ("lat", 2), "heads": ("final", 2)}[part]
    return f"{name}{int(index) + first}.0.0.{_SPECTRAL[leaf]}"


def _encoder_name(key: str) -> str:
    module, _, leaf = key.rpartition(".")
    if module in ("mu", "logvar"):
        return f"{ {'mu': 'fc_mu', 'logvar': 'fc_var'}[module] }.{leaf}"
    return f"layer{int(module.split('.')[1]) + 1}.0.{_SPECTRAL[leaf]}"
