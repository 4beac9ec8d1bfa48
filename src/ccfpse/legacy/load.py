"""Reads released CC-FPSE checkpoints; the only place that knows their names, files and quirks."""

import math
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from ccfpse.checkpoint import load_strictly
from ccfpse.legacy import names
from ccfpse.models import (
    FPSEDiscriminator,
    FPSEDiscriminatorConfig,
    Generator,
    GeneratorConfig,
    StyleEncoder,
    StyleEncoderConfig,
)
from ccfpse.models.blocks import CCBlock

StateDict = dict[str, torch.Tensor]
_FILE = re.compile(r"(?:^|_)net_([GDE])(?:\.\w+)?\.(?:pth|safetensors)$")

# (classes, unknown, instances) of the semantic maps of the three published label spaces, by channel count.
_PUBLISHED = {184: (182, True, True), 151: (150, True, False), 36: (35, False, True)}


def load(
    source: str | Path | Iterable[str | Path],
    *,
    size: tuple[int, int] | None = None,
    classes: int | None = None,
    unknown: bool = False,
    instances: bool = False,
) -> tuple[Generator, StyleEncoder | None, FPSEDiscriminator | None, dict[str, Any]]:
    """Loads released weights into our networks, in eval mode.

    The variant (style vector, standard or deep, width, channels) is read off the tensor shapes.

    Args:
        source: a folder, or the files `*_net_G`, `*_net_E`, `*_net_D` as `.pth` (read with weights_only=True)
            or `.safetensors`, fp16 or fp32. The generator must be among them.
        size: (height, width) the model was trained at; left out, the square or 1:2 format that fits the
            weights.
        classes, unknown, instances: how the semantic channels divide, where it is not one of the published
            label spaces; left out, all channels count as classes.

    Returns:
        (generator, encoder or None, discriminator or None, info), info naming the files, the variant and the
        number of dead tensors that were ignored.

    Raises:
        ValueError: for missing or unknown keys (the first five are named), or shapes that fit no variant.
        FileNotFoundError: where no generator file is found.
    """
    files = _find(source)
    state = _read(files["G"])
    config = _generator_config(state, files["G"], size, classes, unknown, instances)
    generator = Generator(config)

    def branches(block: int) -> int:
        module = generator.blocks[block]
        assert isinstance(module, CCBlock)
        return module.hidden.branches

    def generator_names(key: str) -> list[str]:
        return names.generator_names(key, branches)

    dead = _fill(generator, state, generator_names, files["G"])
    encoder = discriminator = None
    if "E" in files:
        state = _read(files["E"])
        style_dim, width = (
            _shape(state, "fc_mu.weight", files["E"])[0],
            _shape(state, "layer1.0.weight_orig", files["E"])[0],
        )
        encoder = StyleEncoder(StyleEncoderConfig(width=width, style_dim=style_dim))
        _fill(encoder, state, names.encoder_names, files["E"])
    if "D" in files:
        state = _read(files["D"])
        twice_width, channels = _shape(state, "embedding.weight", files["D"])[:2]
        discriminator = FPSEDiscriminator(FPSEDiscriminatorConfig(channels, twice_width // 2))
        _fill(discriminator, state, names.discriminator_names, files["D"])
    info = {"files": {k: str(v) for k, v in files.items()}, "generator": config, "dead_tensors_ignored": dead}
    return generator, encoder, discriminator, info


def _find(source: str | Path | Iterable[str | Path]) -> dict[str, Path]:
    """The files by network letter; more than one candidate for a letter is refused rather than guessed."""
    if isinstance(source, str | Path):
        path = Path(source)
        if not path.exists():
            raise FileNotFoundError(f"{path}: no such file or folder; give the folder that holds *_net_G.pth")
        candidates = sorted(path.iterdir()) if path.is_dir() else [path]
    else:
        candidates = [Path(file) for file in source]
    found: dict[str, Path] = {}
    for file in candidates:
        if match := _FILE.search(file.name):
            letter = match[1]
            if letter in found:
                raise ValueError(
                    f"both {found[letter]} and {file.name} could be network {letter}; "
                    "name the files to load one by one"
                )
            found[letter] = file
    if "G" not in found:
        listing = ", ".join(file.name for file in candidates[:5]) or "nothing"
        raise FileNotFoundError(f"{source}: no *_net_G.pth or *_net_G.safetensors here (found {listing})")
    return found


def _read(path: Path) -> StateDict:
    if path.suffix == ".safetensors":
        state = load_file(path)
    else:
        state = torch.load(path, map_location="cpu", weights_only=True)
    return {key: tensor.float() if tensor.is_floating_point() else tensor for key, tensor in state.items()}


def _shape(state: StateDict, key: str, path: Path) -> torch.Size:
    if key not in state:
        raise ValueError(f"{path}: tensor {key} is missing; is this a released CC-FPSE checkpoint?")
    return state[key].shape


def _generator_config(
    state: StateDict,
    path: Path,
    size: tuple[int, int] | None,
    classes: int | None,
    unknown: bool,
    instances: bool,
) -> GeneratorConfig:
    width = _shape(state, "conv_img.weight", path)[1]
    predictor_width, channels, _, _ = _shape(state, "head_0.gen_weights1.0.weight", path)
    channels -= width
    if classes is None:
        classes, unknown, instances = _PUBLISHED.get(channels, (channels, False, False))
    elif classes + unknown + instances != channels:
        raise ValueError(
            f"{path}: {classes} classes, unknown {unknown}, instances {instances} make "
            f"{classes + unknown + instances} channels, but these weights have {channels}"
        )
    upsamplings = sum(re.fullmatch(r"labelenc\d+\.0\.0\.weight_orig", key) is not None for key in state) - 1
    if upsamplings not in (5, 6):
        raise ValueError(
            f"{path}: {upsamplings + 1} levels in the layout pyramid, expected 6 (standard) or 7 (deep)"
        )
    start = _shape(state, "fc.weight", path)
    has_style = len(start) == 2
    cells = start[0] // (16 * width) if has_style else 64
    return GeneratorConfig(
        classes=classes,
        unknown=unknown,
        instances=instances,
        size=size or _size(cells, 2**upsamplings, path),
        width=width,
        style_dim=start[1] if has_style else 0,
        upsamplings=upsamplings,
        predictor_width=predictor_width,
        predictor_kernel=_shape(state, "head_0.gen_weights1.2.weight", path)[-1],
    )


def _size(cells: int, multiple: int, path: Path) -> tuple[int, int]:
    """Height and width whose start grid has `cells` cells: a square, or twice as wide as high."""
    for aspect in (1, 2):
        side = math.isqrt(cells // aspect)
        if side * side * aspect == cells:
            return side * multiple, aspect * side * multiple
    raise ValueError(
        f"{path}: a start grid of {cells} cells is no square and not 1:2; pass size=(height, width)"
    )


def _fill(
    network: nn.Module, state: StateDict, released_names: Callable[[str], list[str]], path: Path
) -> int:
    """Strictly loads `state` into the network; returns how many dead tensors it ignored."""
    wanted = {key: released_names(key) for key in network.state_dict()}
    expected = {name for parts in wanted.values() for name in parts}
    dead = {key for key in state if names.DEAD.search(key)} - expected
    faults = {"missing": sorted(expected - state.keys()), "unknown": sorted(state.keys() - expected - dead)}
    for kind, keys in faults.items():
        if keys:
            more = f" and {len(keys) - 5} more" if len(keys) > 5 else ""
            raise ValueError(
                f"{path}: {kind} keys {', '.join(keys[:5])}{more}; is this a released CC-FPSE checkpoint?"
            )
    ours = {
        key: state[parts[0]] if len(parts) == 1 else torch.cat([state[name] for name in parts])
        for key, parts in wanted.items()
    }
    load_strictly(network, ours, str(path))
    network.eval()
    return len(dead)
