"""Reads released CC-FPSE, SPADE and pix2pixHD checkpoints; with its room, the only place that knows their
names, files and quirks.
"""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from ccfpse.checkpoint import load_strictly
from ccfpse.legacy import names, raw_ids, shapes
from ccfpse.legacy.shapes import StateDict
from ccfpse.models import (
    Discriminator,
    Generator,
    ImageGenerator,
    StyleEncoder,
    build_discriminator,
    build_generator,
)
from ccfpse.tensor_files import lacks_memory, read_tensors

# What tensors of shapes that no such network has lead to.
MISSHAPEN = (ValueError, TypeError, LookupError, ArithmeticError, RuntimeError)
Config = TypeVar("Config")
Network = TypeVar("Network", bound=nn.Module)
_FILE = re.compile(r"(?:^|_)net_([GDE])(?:\.\w+)?\.(?:pth|safetensors)$")


def load(
    source: str | Path | Iterable[str | Path],
    *,
    size: tuple[int, int] | None = None,
    classes: int | None = None,
    unknown: bool = False,
    instances: bool = False,
    upsamplings: int | None = None,
) -> tuple[ImageGenerator, StyleEncoder | None, Discriminator | None, dict[str, Any]]:
    """Loads released weights into our networks, in eval mode.

    The system (CC-FPSE, SPADE, pix2pixHD; FPSE or multi-scale patch discriminator) and its variant (style
    vector, depth, width, channels) are read off the names and shapes of the tensors.

    Args:
        source: a folder, or the files `*_net_G`, `*_net_E`, `*_net_D` as `.pth` (read with weights_only=True)
            or `.safetensors`, fp16 or fp32. The generator must be among them.
        size: (height, width) the model was trained at; left out, the square or 1:2 format that fits the
            weights.
        classes, unknown, instances: how the semantic channels divide, where it is not one of the published
            label spaces; left out, all channels of others count as classes. Published ones come in our order:
            the released CC-FPSE of ADE20K, which reads raw file ids, is reordered.
        upsamplings: 5 (standard, taken where left out) or 6 (deep) of a SPADE generator, whose tensors look
            the same in both.

    Returns:
        (generator, encoder or None, discriminator or None, info), info naming the files, the variant and the
        number of dead tensors that were ignored.

    Raises:
        ValueError: for missing or unknown keys (the first five are named), or shapes that fit no variant.
        FileNotFoundError: where no generator file is found.
    """
    files = _find(source)
    told = shapes.Told(size, classes, unknown, instances, upsamplings)
    generator, config, dead = _network(
        files["G"], lambda state, path: shapes.generator_config(state, path, told), build_generator
    )
    encoder = discriminator = None
    if "E" in files:
        encoder, *_ = _network(files["E"], shapes.encoder_config, StyleEncoder)
    if "D" in files:
        discriminator, *_ = _network(files["D"], shapes.discriminator_config, build_discriminator)
    if classes is None:
        raw_ids.reorder(generator, discriminator)
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


def _network(
    path: Path, configure: Callable[[StateDict, Path], Config], build: Callable[[Config], Network]
) -> tuple[Network, Config, int]:
    """The network of a file, in eval mode, its config, and the number of dead tensors ignored."""
    state = read_tensors(path)
    try:
        config = configure(state, path)
        network = build(config)
        return network, config, _fill(network, state, path)
    except MISSHAPEN as error:
        if str(error).startswith(f"{path}: ") or lacks_memory(error):
            raise
        raise ValueError(
            f"{path}: its tensors make no network ({error}); is this a released checkpoint?"
        ) from error


def _fill(network: nn.Module, state: StateDict, path: Path) -> int:
    """Strictly loads `state` into the network; returns how many dead tensors it ignored."""
    released_names = names.names_for(network)
    wanted = {key: released_names(key) for key in network.state_dict()}
    expected = {name for parts in wanted.values() for name in parts}
    dead = {key for key in state if isinstance(network, Generator) and names.DEAD.search(key)} - expected
    faults = {"missing": sorted(expected - state.keys()), "unknown": sorted(state.keys() - expected - dead)}
    for kind, keys in faults.items():
        if keys:
            more = f" and {len(keys) - 5} more" if len(keys) > 5 else ""
            raise ValueError(
                f"{path}: {kind} keys {', '.join(keys[:5])}{more}; is this a released checkpoint?"
            )
    ours = {
        key: state[parts[0]] if len(parts) == 1 else torch.cat([state[name] for name in parts])
        for key, parts in wanted.items()
    }
    load_strictly(network, ours, str(path))
    network.eval()
    return len(dead)
