"""A model on disk: one safetensors file that holds weights, configuration and label space. No pickle."""

import dataclasses
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ccfpse.labels import LabelSpace
from ccfpse.models import ImageGenerator, StyleEncoder, StyleEncoderConfig, build_generator
from ccfpse.models.registry import generator_config_from_dict
from ccfpse.tensor_files import lacks_memory

FORMAT = "ccfpse-model-1"

# What building raises for fields that are missing, unknown, or of another type.
MISDESCRIBED = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError)


@dataclass
class Model:
    """What a model file holds: networks in eval mode, the label space, and where the weights come from.

    `info` is free JSON: images seen, data set, attribution, …. discriminator: weights of the network that it
    was trained against, for runs that begin with it; empty where they were left out. Nothing else needs them.
    """

    generator: ImageGenerator
    encoder: StyleEncoder | None
    label_space: LabelSpace
    info: dict[str, Any] = field(default_factory=dict)
    discriminator: Mapping[str, torch.Tensor] = field(default_factory=dict)

    @property
    def images(self) -> int:
        """Images seen, by the run and by the model that it began with; 0 where that is not known."""
        return int(self.info.get("images", 0)) + int(self.info.get("images_before", 0))

    def save(self, path: str | Path, *, half: bool = False) -> None:
        """Writes the model atomically; `half` stores the weights (not the statistics) as float16."""
        networks = {"generator": self.generator, "encoder": self.encoder}
        tensors = {}
        for name, network in networks.items():
            if network is not None:
                weights = dict(network.named_parameters())
                for key, value in network.state_dict().items():
                    tensors[f"{name}.{key}"] = value.half() if half and key in weights else value
        for key, value in self.discriminator.items():
            tensors[f"discriminator.{key}"] = value.half() if half and value.ndim > 1 else value
        encoder = None if self.encoder is None else dataclasses.asdict(self.encoder.config)
        content = {
            "format": FORMAT,
            "generator": dataclasses.asdict(self.generator.config),
            "encoder": encoder,
            "label_space": self.label_space.to_dict(),
            "info": self.info,
        }
        save_tensors(path, tensors, content)

    @classmethod
    def load(cls, path: str | Path) -> "Model":
        """Reads a model file strictly, in float32 and eval mode.

        Raises:
            ValueError: naming the file, where it is no model of ours, is damaged, or its tensors do not fit.
        """
        tensors, content = load_tensors(path)
        if content.get("format") != FORMAT:
            raise ValueError(
                f"{path}: not a model file of ccfpse (format {content.get('format')!r}, expected "
                f"{FORMAT!r}); released weights are converted by `ccfpse convert-released`"
            )
        try:
            config = generator_config_from_dict(content["generator"])
            if [type(side) for side in config.size] != [int, int]:
                raise ValueError(f"size is {list(config.size)}, expected [height, width]")
            space = LabelSpace.from_dict(content["label_space"])
            if space.classes != config.classes:
                raise ValueError(
                    f"its generator has {config.classes} classes, its label space {space.classes}"
                )
            model = cls(
                build_generator(config),
                StyleEncoder(StyleEncoderConfig(**content["encoder"])) if content["encoder"] else None,
                space,
                dict(content["info"]),
            )
        except MISDESCRIBED as error:
            if lacks_memory(error):
                raise
            what = f"no {error}" if isinstance(error, KeyError) else str(error).partition("\n")[0]
            raise ValueError(
                f"{path}: what it says of its networks makes no model ({what}); "
                "copy or download it again, or update ccfpse"
            ) from error
        for name, network in (("generator", model.generator), ("encoder", model.encoder)):
            if network is not None:
                load_strictly(network, below(tensors, f"{name}."), f"{path}: {name}")
                network.eval()
        model.discriminator = {key: v.float() for key, v in below(tensors, "discriminator.").items()}
        return model


def below(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """The tensors whose names begin with `prefix`, without it."""
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def load_strictly(network: torch.nn.Module, tensors: Mapping[str, torch.Tensor], where: str) -> None:
    """`load_state_dict` with a ValueError that names `where`; tensors take the network's dtype."""
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise ValueError(f"{where}: {error}") from error


def save_tensors(path: str | Path, tensors: Mapping[str, torch.Tensor], content: Mapping[str, Any]) -> None:
    """Writes tensors and JSON metadata under a temporary name, flushes, then moves: never half a file."""
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path}: is a folder; give the name of a file")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    whole = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    try:
        temporary.touch()
        readers = temporary.stat().st_mode  # as the umask says; safetensors lets the owner alone read
        try:
            save_file(whole, temporary, metadata={"ccfpse": json.dumps(content)})
        except SafetensorError as error:  # the disk is full
            raise ValueError(f"{path}: cannot be written ({error})") from error
        temporary.chmod(readers)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def load_tensors(path: str | Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The inverse of `save_tensors`; ValueError naming the file where it cannot be read."""
    with _opened(path) as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no mapping)
        return tensors, _content(path, file.metadata())


def load_content(path: str | Path) -> dict[str, Any]:
    """The JSON metadata alone, as `load_tensors` gives it, with the same errors."""
    with _opened(path) as file:
        return _content(path, file.metadata())


@contextmanager
def _opened(path: str | Path) -> Iterator[Any]:
    if not Path(path).is_file():
        raise ValueError(f"{path}: no such file")
    try:
        with safe_open(path, "pt") as file:
            yield file
    except SafetensorError as error:
        raise ValueError(f"{path}: not a readable safetensors file ({error})") from error


def _content(path: str | Path, metadata: Mapping[str, str] | None) -> dict[str, Any]:
    try:
        content = json.loads((metadata or {}).get("ccfpse", "{}"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: its metadata is not JSON ({error}); copy or download it again") from error
    if not isinstance(content, dict):
        raise ValueError(
            f"{path}: its metadata is JSON, but {type(content).__name__} instead of an object; "
            "copy or download it again"
        )
    return content
