"""Everything a run needs to go on, as one flat file of tensors."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ccfpse.checkpoint import below, load_strictly, load_tensors, save_tensors
from ccfpse.labels import LabelSpace
from ccfpse.training import ema
from ccfpse.training.config import TrainConfig
from ccfpse.training.steps import Networks

FORMAT = "ccfpse-run-1"
TRAINED = ("generator", "discriminator")  # the optimisers; the generator's includes the encoder


@dataclass
class TrainState:
    """Networks, averages, optimisers and the number of images seen;
    all else follows from these and the config.

    skipped, skipped_in_a_row: steps left out because their gradients were not finite, per optimiser.
    unreadable: how often a file that could not be read was replaced. images_before: seen by the model that
    the run began with. samples: how many the data set had. vgg: which VGG the perceptual loss compares by.
    Both are None where a state does not tell. replicas: the networks, wrapped for the exchange between
    processes where there are several.
    """

    networks: Networks
    averages: dict[str, nn.Module]
    optimisers: dict[str, torch.optim.Adam]
    images: int = 0
    skipped: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TRAINED, 0))
    skipped_in_a_row: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TRAINED, 0))
    unreadable: int = 0
    images_before: int = 0
    samples: int | None = None
    vgg: str | None = None
    replicas: Networks = field(init=False)

    def __post_init__(self) -> None:
        self.replicas = self.networks

    @classmethod
    def start(cls, networks: Networks, config: TrainConfig) -> "TrainState":
        """A fresh state: optimisers as the config says, averages equal to the networks."""
        settings = config.optimiser
        painters = [networks.generator, *([networks.encoder] if networks.encoder is not None else [])]
        groups = {
            "generator": (painters, settings.lr_generator),
            "discriminator": ([networks.discriminator], settings.lr_discriminator),
        }
        optimisers = {
            name: torch.optim.Adam(
                [p for network in members for p in network.parameters()],
                lr=rate,
                betas=(settings.beta1, settings.beta2),
            )
            for name, (members, rate) in groups.items()
        }
        averages = {
            name: ema.averaged_copy(network)
            for name, network in networks.named.items()
            if name != "discriminator"
        }
        return cls(networks, averages, optimisers)

    def save(self, path: Path, config: TrainConfig, label_space: LabelSpace) -> None:
        """Writes the state atomically."""
        tensors = {
            f"{kind}.{name}.{key}": value
            for kind, networks in (("network", self.networks.named), ("average", self.averages))
            for name, network in networks.items()
            for key, value in network.state_dict().items()
        }
        for name, optimiser in self.optimisers.items():
            for index, moments in optimiser.state_dict()["state"].items():
                tensors |= {f"optimiser.{name}.{index}.{key}": value for key, value in moments.items()}
        content = {
            "format": FORMAT,
            "config": config.to_dict(),
            "label_space": label_space.to_dict(),
            "images": self.images,
            "skipped": self.skipped,
            "skipped_in_a_row": self.skipped_in_a_row,
            "unreadable": self.unreadable,
            "images_before": self.images_before,
            "samples": self.samples,
            "vgg": self.vgg,
        }
        save_tensors(path, tensors, content)

    def load(self, path: Path, label_space: LabelSpace) -> None:
        """Restores a saved state; ValueError naming the file where it does not fit, or has other classes."""
        tensors, content = read_state(path)
        _require_classes(path, content.get("label_space"), label_space)
        for kind, networks in (("network", self.networks.named), ("average", self.averages)):
            for name, network in networks.items():
                load_strictly(network, below(tensors, f"{kind}.{name}."), f"{path}: {name}")
        for name, optimiser in self.optimisers.items():
            moments: dict[int, dict[str, torch.Tensor]] = {}
            for key, value in below(tensors, f"optimiser.{name}.").items():
                index, _, moment = key.partition(".")
                moments.setdefault(int(index), {})[moment] = value
            groups = optimiser.state_dict()["param_groups"]
            optimiser.load_state_dict({"state": moments, "param_groups": groups})
        self.images, self.unreadable = content["images"], content.get("unreadable", 0)
        self.images_before, self.samples = content.get("images_before", 0), content.get("samples")
        self.vgg = content.get("vgg")
        self.skipped = content.get("skipped", self.skipped)
        self.skipped_in_a_row = content.get("skipped_in_a_row", self.skipped_in_a_row)


def read_state(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Tensors and content of a state file; ValueError naming the file where it is none."""
    tensors, content = load_tensors(path)
    if content.get("format") != FORMAT:
        raise ValueError(
            f"{path}: not the state of a run (format {content.get('format')!r}, expected {FORMAT!r})"
        )
    return tensors, content


def _require_classes(path: Path, saved: dict[str, Any] | None, now: LabelSpace) -> None:
    """ValueError where the data's classes are not those that the state was trained on; colours may change."""
    if saved is None:  # states of earlier versions do not tell
        return
    then = LabelSpace.from_dict(saved)
    if len(then) != len(now):
        raise ValueError(
            f"{path}: the run has {len(then)} classes, but the data {len(now)}; give another --out"
        )
    for index, (was, name) in enumerate(zip(then.names, now.names, strict=True)):
        if was != name:
            raise ValueError(
                f"{path}: class {index} of the run is {was!r}, but of the data {name!r}; "
                "give the run's own classes.json to resume it, or another --out"
            )
    if then.unknown != now.unknown:
        raise ValueError(
            f"{path}: the run had ignore {then.ignore}, but the data {now.ignore}; give another --out"
        )
