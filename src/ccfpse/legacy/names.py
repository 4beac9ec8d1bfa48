"""What the released checkpoints call our tensors. A tensor of ours may be several of theirs, stacked on the
first axis.
"""

import re
from collections.abc import Callable

BLOCKS = ["head_0", "G_middle_0", "G_middle_1", "up_0", "up_1", "up_2", "up_3"]

# Weights that the released code declares but never uses.
DEAD = re.compile(r"\.conv_[02]\.norm_layer\.|\.norm_0\.")

_SPECTRAL = {"weight": "weight_orig", "u": "weight_u", "v": "weight_v"}
_BLOCK_PARTS = {
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
    "shortcut.norm": ["norm_s.param_free_norm"],
    "shortcut.modulation": ["norm_s.mlp_gamma", "norm_s.mlp_beta"],
}


def generator_names(key: str, branches: Callable[[int], int]) -> list[str]:
    """The released names of our generator's tensor `key`;
    `branches(i)` is the number of predictors of block i.
    """
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
    if part == "shortcut.conv":
        return [f"{block}.conv_s.{_SPECTRAL[leaf]}"]
    parts = _BLOCK_PARTS[part][: branches(int(index))] if part == "hidden" else _BLOCK_PARTS[part]
    return [f"{block}.{name}.{leaf}" for name in parts]


def discriminator_names(key: str) -> list[str]:
    """The released name of our FPSE discriminator's tensor `key`."""
    module, _, leaf = key.rpartition(".")
    if module in ("real", "semantic", "embedding"):
        return [f"{ {'real': 'tf', 'semantic': 'seg'}.get(module, module) }.{leaf}"]
    part, index, _ = module.split(".")
    name, first = {"bottom_up": ("enc", 1), "laterals": ("lat", 2), "heads": ("final", 2)}[part]
    return [f"{name}{int(index) + first}.0.0.{_SPECTRAL[leaf]}"]


def encoder_names(key: str) -> list[str]:
    """The released name of our style encoder's tensor `key`."""
    module, _, leaf = key.rpartition(".")
    if module in ("mu", "logvar"):
        return [f"{ {'mu': 'fc_mu', 'logvar': 'fc_var'}[module] }.{leaf}"]
    return [f"layer{int(module.split('.')[1]) + 1}.0.{_SPECTRAL[leaf]}"]
