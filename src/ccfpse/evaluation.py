"""A data set, and a model or a folder of images, to reports: what `ccfpse evaluate` and training share."""

import hashlib
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import rich.progress
from PIL import Image
from rich.console import Console

from ccfpse.data import PairedTransform, open_dataset
from ccfpse.engine import Engine
from ccfpse.features import find_weights
from ccfpse.labels import LabelSpace
from ccfpse.metrics import (
    Generate,
    HuggingFaceSegmenter,
    Pair,
    Pairs,
    Protocol,
    Report,
    Segmenter,
    SmallSegmenter,
    cached_segmenter,
    control_reports,
    evaluate,
    folder_identity,
    images_from_folder,
)
from ccfpse.metrics.controls import photos_of
from ccfpse.metrics.evaluate import CHUNK, check_enough
from ccfpse.metrics.inputs import files_of_layouts
from ccfpse.metrics.segmentation import Confusion, read_layouts
from ccfpse.model_files import find_model

Base = Literal["default", "paper"]


class System(typing.Protocol):
    """What is evaluated: a name for tables, what identifies its images, and how it makes them.

    source: "" where nothing identifies the images, so that they are not cached.
    """

    name: str
    source: str

    def protocol(self, base: Base, **given: Any) -> Protocol:
        """The protocol `base` for this system, under what is `given` (not None); ValueError for a misfit."""
        ...

    def generate(self, reference: Pairs, label_space: LabelSpace, protocol: Protocol) -> Generate:
        """The function that `metrics.evaluate` asks for images; ValueError where the data do not fit."""
        ...


class ModelImages:
    """What a model draws."""

    def __init__(self, engine: Engine, name: str, source: str) -> None:
        self.engine, self.name, self.source = engine, name, source

    @classmethod
    def load(cls, model: str | Path, *, device: str = "auto", dtype: str = "auto") -> "ModelImages":
        """A bundled model's name, a model file, or a run's folder; its source is the file's sha256."""
        engine = Engine.load(model, device=device, dtype=dtype)
        digest = hashlib.sha256(find_model(model).read_bytes()).hexdigest()
        used = str(engine.dtype).removeprefix("torch.")
        computed = "" if used == "float32" else f" in {used}"
        return cls(engine, engine.name, f"sha256 {digest}{computed}")

    @property
    def averaged(self) -> bool:
        """Whether the generator's weights are the averaged ones."""
        return bool(self.engine.info.get("averaged", True))

    def protocol(self, base: Base, **given: Any) -> Protocol:
        """By default at the size, and resized by the rule, that the model was trained with."""
        engine, given = self.engine, {name: value for name, value in given.items() if value is not None}
        trained = engine.info.get("config", {}).get("data", {})
        choices: dict[str, Any] = {"size": engine.trained_size, "resize": trained.get("resize", "stretch")}
        if base == "default":
            choices |= {"ema": self.averaged}
        if not engine.style_dim:
            choices |= {"style": "none"}
        protocol = Protocol.of_model(base, **(choices | given))
        self._check(protocol)
        return protocol

    def _check(self, protocol: Protocol) -> None:
        engine, (height, width) = self.engine, protocol.size
        if height % engine.size_multiple or width % engine.size_multiple:
            raise ValueError(
                f"size is {height}×{width}, but {self.name} draws multiples of {engine.size_multiple}"
            )
        if (protocol.style == "none") != (engine.style_dim == 0):
            has = "draws styles; choose prior or reference" if engine.style_dim else "has none; choose none"
            raise ValueError(f"style is {protocol.style!r}, but {self.name} {has}")
        if protocol.style == "reference" and not engine.encodes_style:
            raise ValueError(f"style is 'reference', but {self.name} has no style encoder; choose prior")
        if protocol.ema != self.averaged:
            raise ValueError(_which_weights(self.name, self.averaged))

    def generate(self, reference: Pairs, label_space: LabelSpace, protocol: Protocol) -> Generate:
        engine, space = self.engine, self.engine.label_space
        if space.names != label_space.names or (label_space.unknown and not space.unknown):
            raise ValueError(
                f"{self.name} draws {_described(space)}, but the data hold {_described(label_space)}; the"
                " label spaces must agree (`ccfpse data convert remap` makes them)"
            )

        def draw(pair: Pair, count: int, seed: int) -> np.ndarray:
            ids = pair.labels
            if space.ignore is not None:
                ids = np.where(ids == space.classes, space.ignore, ids)
            return engine.generate(
                ids,
                instances=pair.instances if engine.uses_instances else None,
                style=pair.photo if protocol.style == "reference" else None,
                count=count,
                seed=seed,
            )

        return draw


class FolderImages:
    """Images that somebody else made, named like the photos (`metrics.inputs.files_of_layouts`).

    stems: the layouts that they were made from. Raises ValueError when one has no image.
    """

    def __init__(self, folder: Path, stems: Sequence[str]) -> None:
        self.folder, self.name = folder, folder.resolve().name
        self.files = files_of_layouts(folder, stems)
        self.source = f"folder {folder_identity(folder)}"

    def protocol(self, base: Base, **given: Any) -> Protocol:
        """By default at the first image's size, with as many styles as every layout has images.

        `style` and `ema` cannot be seen; they are taken as declared.
        """
        given = {name: value for name, value in given.items() if value is not None}
        file = next(iter(self.files.values()))[0]
        try:
            with Image.open(file) as image:
                size = (image.height, image.width)
        except OSError as error:
            raise ValueError(f"{file}: cannot be decoded as an image ({error}); replace it") from None
        choices: dict[str, Any] = {"size": size, "styles": min(len(files) for files in self.files.values())}
        return (Protocol.paper if base == "paper" else Protocol)(**(choices | given))

    def generate(self, reference: Pairs, label_space: LabelSpace, protocol: Protocol) -> Generate:
        return images_from_folder(self.folder, reference.stems, protocol.size)


class Spread:
    """At most `limit` pairs, evenly spread over others; None: all of them."""

    def __init__(self, pairs: Pairs, limit: int | None) -> None:
        if limit is not None and limit < 1:
            raise ValueError(f"limit is {limit}, expected 1 or more")
        self._pairs = pairs
        count = min(limit or len(pairs), len(pairs))
        self._chosen = np.linspace(0, len(pairs) - 1, count).astype(int).tolist()
        self.stems = [pairs.stems[index] for index in self._chosen]

    def __len__(self) -> int:
        return len(self._chosen)

    def sample(self, index: int, /) -> Pair:
        return self._pairs.sample(self._chosen[index])


def open_pairs(
    data: str | Path,
    split: str,
    size: tuple[int, int],
    resize: Literal["stretch", "cover"],
    *,
    instances: bool = True,
) -> tuple[Pairs, LabelSpace]:
    """A split of a data set of any layout at one size, cut centrally, and its label space."""
    transform = PairedTransform(size, resize=resize, crop="center")
    dataset = open_dataset(data, split, transform, instances=instances)
    return dataset, dataset.label_space


def run(
    system: System,
    data: str | Path,
    protocol: Protocol,
    *,
    split: str = "val",
    limit: int | None = None,
    segmenter: str = "own",
    controls: bool = False,
    weights: Path | None = None,
    device: str = "cpu",
    batch: int = CHUNK,
    out: Path | None = None,
    progress: bool = True,
) -> list[Report]:
    """The report of a system on a split, with `controls` those of `metrics.control_reports`.

    limit: evaluate on so many pairs, spread over the split. segmenter: see `find_segmenter`. The other
    arguments are `metrics.evaluate`'s, and so are the errors; what can be wrong is looked at before any
    network runs.
    """
    pairs, space = open_pairs(data, split, protocol.size, protocol.resize)
    reference = Spread(pairs, limit)
    check_enough(reference)
    generate = system.generate(reference, space, protocol)
    others = open_pairs(data, "train", protocol.size, protocol.resize)[0] if controls else None
    if others is not None:
        photos_of(others, reference)  # raises where they are too few
    find_weights("inception", weights)
    reader = find_segmenter(
        segmenter, data, space, protocol, weights=weights, device=device, progress=progress
    )
    shared: dict[str, Any] = {
        "name": system.name,
        "source": system.source,
        "label_space": space,
        "protocol": protocol,
        "segmenter": reader,
        "weights": weights,
        "device": device,
        "batch": batch,
        "out": out,
        "progress": progress,
    }
    if others is not None:
        return control_reports(reference, generate, others=others, **shared)
    return [evaluate(reference, generate, **shared)]


def find_segmenter(
    choice: str,
    data: str | Path,
    label_space: LabelSpace,
    protocol: Protocol,
    *,
    weights: Path | None = None,
    device: str = "cpu",
    progress: bool = True,
) -> Segmenter | None:
    """The network that reads layouts off photos.

    choice: "own" (trained on the data's training split, now unless it is cached), "none", a .safetensors file
    that `ccfpse train-segmenter` wrote, or else a Hugging Face model by name or folder. Raises ValueError
    where it cannot be had or does not fit the label space.
    """
    if choice == "none":
        return None
    if choice == "own":
        try:
            pairs, _ = open_pairs(data, "train", protocol.size, protocol.resize)
        except ValueError as error:
            raise ValueError(f"{error}; a segmenter learns from it, --segmenter none does without") from None
        return cached_segmenter(pairs, label_space, device=device, weights=weights, progress=progress)
    if not choice.endswith(".safetensors"):
        return HuggingFaceSegmenter(choice, label_space, device)
    segmenter = SmallSegmenter.load(choice, device, weights)
    if len(segmenter.predicts) != label_space.classes:
        raise ValueError(
            f"{choice} reads {len(segmenter.predicts)} classes, but the data have {label_space.classes};"
            " train one on them: `ccfpse train-segmenter`"
        )
    return segmenter


def score_segmenter(segmenter: Segmenter, pairs: Pairs, classes: int) -> Confusion:
    """How the segmenter reads real photos: the ceiling of layout fidelity."""
    total = Confusion(np.zeros((classes, classes + 1), dtype=np.int64), 0)
    starts = range(0, len(pairs), CHUNK)
    for start in rich.progress.track(
        starts, "scoring the segmenter", console=Console(stderr=True), transient=True
    ):
        chunk = [pairs.sample(index) for index in range(start, min(start + CHUNK, len(pairs)))]
        for one in read_layouts(segmenter, chunk, np.stack([pair.photo for pair in chunk]), classes):
            total += one
    return total


def _described(space: LabelSpace) -> str:
    unknown = " and unlabelled pixels" if space.unknown else ""
    return f"{space.classes} classes ({', '.join(space.names[:3])}, …){unknown}"


def _which_weights(name: str, averaged: bool) -> str:
    if averaged:
        return (
            f"{name} holds averaged weights, but the protocol asks for the others; give the run's folder,"
            " which has both, or --ema"
        )
    return f"{name} holds weights that are not averaged, but the protocol asks for averages; give --no-ema"
