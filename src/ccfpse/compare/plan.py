"""What is compared: a YAML file as frozen dataclasses. Reading it opens no data and builds no network."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import yaml

from ccfpse import settings
from ccfpse.labels import nearest
from ccfpse.metrics import Protocol
from ccfpse.presets import resolve
from ccfpse.settings import flatten, setting
from ccfpse.training.config import TrainConfig

KEYS = ("data", "out", "preset", "images", "seeds", "fields", "systems", "evaluation")
# Names that start so are no system's own.
EQUAL_FOR_ALL = ("data.", "images", "seed", "start_from", "evaluate_")


@dataclass(frozen=True)
class EvaluationSettings:
    """The choices of `ccfpse evaluate`, made once for all systems."""

    protocol: Literal["default", "paper"] = setting(
        "default", "default or paper; the choices below win over it"
    )
    split: str = setting("val", "split that is evaluated on")
    limit: int | None = setting(None, "evaluate on so many photos, spread over the split; none: all")
    segmenter: str = setting("own", "what reads layouts off the images: own, none, a file or a model")
    style: Literal["prior", "reference"] | None = setting(
        None, "where styles come from; systems without a style vector have none"
    )
    styles: int | None = setting(None, "images per layout of the systems with a style vector")
    seed: int = setting(0, "of the styles and of KID's subsets")
    ema: bool | None = setting(None, "averaged weights or the others; none: as the protocol says")
    ignore: Literal["labelled", "all"] = setting("labelled", "the accuracy's pixels: labelled, or all")
    weights: str | None = setting(None, "folder with the public weights; none: cache or download")
    device: str = setting("auto", "auto, cpu, cuda, …")
    batch: int = setting(16, "images that the measuring networks see at once, at most 16")

    @property
    def averaged(self) -> bool:
        """Whether the averaged weights are evaluated."""
        return self.protocol == "default" if self.ema is None else self.ema

    @property
    def weights_folder(self) -> Path | None:
        return None if self.weights is None else Path(self.weights)

    def choices(self, styled: bool) -> dict[str, Any]:
        """What is chosen over the protocol's own, for systems with a style vector or without."""
        names = ["seed", "ema", "ignore", *(["style", "styles"] if styled else [])]
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    def of_size(self, config: TrainConfig) -> Protocol:
        """The protocol at a config's size; ValueError for choices that make none."""
        choices = {"size": config.data.size, "resize": config.data.resize} | self.choices(styled=True)
        return Protocol.of_model(self.protocol, **choices)


@dataclass(frozen=True)
class System:
    """One column of the picture: what it changes of the shared config, and the config that comes of it."""

    name: str
    overrides: Mapping[str, Any]
    config: TrainConfig


@dataclass(frozen=True)
class Run:
    """One system trained from one seed, in a folder of its own."""

    system: System
    seed: int
    config: TrainConfig
    folder: Path

    @property
    def evaluation(self) -> Path:
        return self.folder / "evaluation"

    @property
    def result(self) -> Path:
        """Written when a run's evaluation is complete."""
        return self.folder / "result.json"

    def __str__(self) -> str:
        return f"{self.system.name}, seed {self.seed}"


@dataclass(frozen=True)
class Comparison:
    """A whole comparison; `source` is the file that errors name."""

    source: str
    data: str
    out: Path
    images: int
    seeds: tuple[int, ...]
    systems: tuple[System, ...]
    evaluation: EvaluationSettings

    @property
    def runs(self) -> tuple[Run, ...]:
        """All systems from the first seed, then from the next: there is a whole table early."""
        return tuple(
            Run(system, seed, system.config.override({"seed": seed}), self.folder(system, seed))
            for seed in self.seeds
            for system in self.systems
        )

    @property
    def photos(self) -> Path:
        """Names the photos that all runs have seen."""
        return self.out / "photos.json"

    def folder(self, system: System, seed: int) -> Path:
        return self.out / f"{_slug(system.name)}-seed{seed}"

    @classmethod
    def load(
        cls,
        path: Path,
        *,
        data: str | None = None,
        out: Path | None = None,
        overrides: Mapping[str, Any] | None = None,
    ) -> "Comparison":
        """Reads a file; `data`, `out` and `overrides` (of the shared fields) win over what it says.

        Raises:
            ValueError: naming the file, what is wrong and the cure.
        """
        try:
            content = yaml.load(path.read_text("utf-8"), _UniqueKeys)
        except OSError as error:
            raise ValueError(f"{path}: cannot be read ({error.strerror or error})") from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ValueError(f"{path}: cannot be read as YAML ({' '.join(str(error).split())})") from None
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        if not isinstance(content, dict):
            raise ValueError(f"{path}: expected a mapping with {', '.join(KEYS)}")
        given = {"data": data, "out": None if out is None else str(out)}
        content |= {name: value for name, value in given.items() if value is not None}
        try:
            return cls._from_dict(str(path), content, overrides or {})
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None

    @classmethod
    def _from_dict(
        cls, source: str, content: Mapping[str, Any], overrides: Mapping[str, Any]
    ) -> "Comparison":
        for name in content:
            if name not in KEYS:
                raise ValueError(f"no key {name!r} in a comparison{nearest(str(name), KEYS)}")
        for name in ("data", "out"):
            if not isinstance(content.get(name), str):
                raise ValueError(
                    f"{name} is {content.get(name)!r}, expected a folder; give it here or --{name}"
                )
        evaluation = settings.override(
            EvaluationSettings(), _mapping(content, "evaluation"), "section evaluation"
        )
        shared = flatten(_mapping(content, "fields")) | dict(overrides)
        for name in ("images", "seed"):
            if name in shared:
                key = "images" if name == "images" else "seeds"
                raise ValueError(f"{name} is no field of a comparison's; give the key {key} of the file")
        length = {"images": content["images"]} if "images" in content else {}
        base = resolve(content.get("preset"), None, shared | length)
        systems = _systems(base, _mapping(content, "systems"))
        seeds = _seeds(content.get("seeds", [0]))
        return cls(source, content["data"], Path(content["out"]), base.images, seeds, systems, evaluation)

    def describe_evaluation(self) -> dict[str, Any]:
        """What an evaluation's result depends on, as JSON has it."""
        chosen = {item.name: getattr(self.evaluation, item.name) for item in fields(self.evaluation)}
        unimportant = ("weights", "device", "batch")
        return {name: value for name, value in chosen.items() if name not in unimportant}


class _UniqueKeys(yaml.SafeLoader):
    """YAML in which a name that is given twice is an error, as two systems of one name are."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                if key.value in seen:
                    line = key.start_mark.line + 1
                    raise ValueError(f"line {line}: {key.value!r} is given twice; rename or remove one")
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def _mapping(content: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = content.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(f"{name} is {value!r}, expected a mapping of names to values")
    return value


def _seeds(value: Any) -> tuple[int, ...]:
    whole = isinstance(value, list) and all(type(seed) is int and seed >= 0 for seed in value)
    if not whole or not value or len(set(value)) < len(value):
        raise ValueError(f"seeds is {value!r}, expected a list of different whole numbers, such as [0, 1]")
    return tuple(value)


def _systems(base: TrainConfig, content: Mapping[str, Any]) -> tuple[System, ...]:
    """The systems in the file's order; ValueError where two of them, or their folders, are one."""
    if not content:
        raise ValueError(
            "systems is empty; give a name with its fields for each: `SPADE: {generator.kind: spade}`"
        )
    systems: list[System] = []
    for name in content:
        if not isinstance(name, str) or not _slug(name):
            raise ValueError(f"system {name!r}: expected a name with letters or digits; put it in quotes")
        overrides = flatten(_mapping(content, name))
        _refuse_inequality(name, overrides)
        try:
            config = base.override(overrides)
        except ValueError as error:
            raise ValueError(f"system {name!r}: {error}") from None
        if config.images % config.batch:
            raise ValueError(
                f"system {name!r}: images is {config.images}, no multiple of its batch {config.batch}; "
                "make it one, so that all systems see equally many"
            )
        for other in systems:
            if other.config == config:
                raise ValueError(
                    f"systems {other.name!r} and {name!r} have equal configs; change or remove one"
                )
            if _slug(other.name) == _slug(name):
                raise ValueError(f"systems {other.name!r} and {name!r} would share a folder; rename one")
        systems.append(System(name, overrides, config))
    return tuple(systems)


def _refuse_inequality(name: str, overrides: Mapping[str, Any]) -> None:
    unequal = [field for field in overrides if field.startswith(EQUAL_FOR_ALL)]
    if unequal:
        raise ValueError(
            f"system {name!r}: {unequal[0]} must be equal for all systems; move it to fields, or to the keys "
            "images and seeds"
        )


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
