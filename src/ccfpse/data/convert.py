"""Data sets of other layouts into ours."""

import functools
import io
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from ccfpse.data.dataset import PairedDataset
from ccfpse.data.decode import encode_ids
from ccfpse.data.layouts import CONVERTIBLE, open_splits
from ccfpse.data.pairing import PHOTO_SUFFIXES, Fault
from ccfpse.data.parallel import mapped
from ccfpse.data.sample import CorruptSample
from ccfpse.labels import LabelSpace, nearest


@dataclass
class Conversion:
    """What `convert` did: photos written and found already there, by split; faults (left out) and notes."""

    source: str
    destination: str
    layout: str
    written: dict[str, int] = field(default_factory=dict)
    kept: dict[str, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether everything could be converted."""
        return not self.faults

    def __rich__(self) -> RenderableType:
        lines = [Text(f"{self.source} ({self.layout}) → {self.destination}", "bold")]
        for split, count in self.written.items():
            kept = f", {self.kept[split]} already there" if self.kept[split] else ""
            lines.append(Text(f"{split}: {count} photos written{kept}"))
        lines += [Text(note) for note in self.notes]
        if self.faults:
            lines.append(Text(f"{len(self.faults)} faults; these files are left out", "bold red"))
        for fault in self.faults:
            lines.append(
                Text.assemble("  ", (fault.file, "bold"), f": {fault.what}; ", (fault.cure, "green"))
            )
        return Group(*lines)


def convert(
    kind: str,
    source: str | Path,
    destination: str | Path,
    *,
    splits: Sequence[str] | None = None,
    link: bool = False,
    overwrite: bool = False,
    workers: int | None = None,
    progress: bool = False,
    **options: Any,
) -> Conversion:
    """Write a data set of another layout as a data set folder.

    kind: "coco-json", "coco-stuff", "ade20k", "cityscapes", "palette" or "remap". Photos are copied, or
    hard-linked with `link` where the file system can. Samples that are there already are kept, so that an
    interrupted conversion goes on, unless `overwrite`. options: of the layout: `images` (folder of the
    photos) for coco-json; `classes` (path of a classes.json) and `snap` (colours to the nearest) for
    palette; `ids` (which become which) and `classes` for remap.

    Files that cannot be converted are left out and listed as faults. Raises ValueError when the source is
    not of this kind, and when the destination holds something else.
    """
    if kind not in CONVERTIBLE:
        raise ValueError(f"cannot convert {kind!r}{nearest(kind, tuple(CONVERTIBLE))}")
    datasets = open_splits(CONVERTIBLE[kind], source, splits, **options)
    target = Path(destination)
    if target.resolve() == Path(source).resolve():
        raise ValueError(f"{destination}: is the source itself; give another folder to write to")
    _claim(target, datasets[0].label_space, overwrite)
    _require_same_ids(target, kind, options, overwrite)
    result = Conversion(str(source), str(destination), datasets[0].layout)
    for dataset in datasets:
        result.faults += dataset.faults
        outcomes = mapped(
            functools.partial(_convert_one, dataset, target, link, overwrite),
            len(dataset),
            f"converting {dataset.split}",
            workers=workers,
            progress=progress,
        )
        counts = {"written": 0, "kept": 0}
        for outcome in outcomes:
            if isinstance(outcome, Fault):
                result.faults.append(outcome)
            else:
                counts[outcome] += 1
        result.written[dataset.split], result.kept[dataset.split] = counts["written"], counts["kept"]
        result.notes += dataset.notes()
    return result


def _claim(target: Path, label_space: LabelSpace, overwrite: bool) -> None:
    """Make the folder ours by its classes.json; ValueError when it belongs to something else."""
    classes = target / "classes.json"
    if classes.exists() and not overwrite:
        if LabelSpace.load(classes) != label_space:
            raise ValueError(
                f"{classes}: other classes than the source's; write to a new folder or `--overwrite`"
            )
        return
    if target.exists() and not overwrite and any(target.iterdir()):
        raise ValueError(f"{target}: not empty; write to a new folder or `--overwrite`")
    target.mkdir(parents=True, exist_ok=True)
    label_space.save(classes)


def _require_same_ids(target: Path, kind: str, options: dict[str, Any], overwrite: bool) -> None:
    """Keeps how ids were replaced in `conversion.json`; ValueError where it was otherwise for samples there.

    The other options need no record: classes are held against classes.json, photos may lie elsewhere now, and
    snapping changes only what was left out.
    """
    record = target / "conversion.json"
    now = {"kind": kind} | {name: str(value) for name, value in options.items() if name == "ids"}
    if record.exists() and not overwrite and (then := json.loads(record.read_text())) != now:
        raise ValueError(
            f"{target}: was converted otherwise ({_listed(then)}; now {_listed(now)}); write to a new folder "
            "or `--overwrite`"
        )
    _write(record, json.dumps(now).encode())


def _listed(options: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in options.items())


def _convert_one(
    dataset: PairedDataset, target: Path, link: bool, overwrite: bool, index: int
) -> str | Fault:
    """Write one sample, its photo last: a sample with a photo is whole. "written", "kept" or the fault."""
    entry = dataset.entries[index]
    suffix = os.path.splitext(entry.photo)[1]
    copied = suffix.lower() in PHOTO_SUFFIXES
    photo = target / dataset.split / "images" / f"{entry.stem}{suffix if copied else '.png'}"
    if photo.exists() and not overwrite:
        return "kept"
    try:
        image, labels, instances = dataset.load(index)
        dataset.to_index(entry, labels)
    except CorruptSample as error:
        return dataset.fault(error)
    maps = target / dataset.split
    _write(maps / "labels" / f"{entry.stem}.png", encode_ids(labels))
    if instances is not None:
        _write(maps / "instances" / f"{entry.stem}.png", encode_ids(narrow_instances(instances)))
    if not copied:
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        _write(photo, buffer.getvalue())
    elif not (link and _linked(dataset.path(entry.photo), photo)):
        _write(photo, dataset.content(entry.photo))
    return "written"


def narrow_instances(instances: np.ndarray) -> np.ndarray:
    """Instance ids that fit 16 bits: as they are, or numbered anew from 0 where they do not."""
    if instances.max(initial=0) <= 65535 and instances.min(initial=0) >= 0:
        return instances
    return np.unique(instances, return_inverse=True)[1].reshape(instances.shape)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_bytes(content)
    os.replace(temporary, path)


def _linked(source: str, target: Path) -> bool:
    """Hard-link `target` to `source`; False where the file system cannot."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        target.unlink(missing_ok=True)
        os.link(source, target)
    except OSError:
        return False
    return True
