"""Data sets of other layouts into ours."""

import functools
import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from ccfpse.data.dataset import PairedDataset
from ccfpse.data.decode import encode_ids, encode_png
from ccfpse.data.folder import FolderDataset
from ccfpse.data.layouts import CONVERTIBLE, left_out, open_splits
from ccfpse.data.pairing import PHOTO_SUFFIXES, Fault
from ccfpse.data.parallel import mapped
from ccfpse.data.sample import CorruptSample
from ccfpse.labels import LabelSpace, nearest

RECORD = "conversion.json"
KINDS = ("images", "labels", "instances")


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
        return Group(*lines, *(fault.line() for fault in self.faults))


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
    interrupted conversion goes on; with `overwrite` all samples of these splits are removed first. options:
    of the layout: `images` (folder of the photos) for coco-json; `classes` (path of a classes.json) and
    `snap` (colours to the nearest) for palette; `ids` (which become which) and `classes` for remap.

    Files that cannot be converted are left out and listed as faults. Raises ValueError when the source is
    not of this kind, for options of another kind, and when the destination holds something else.
    """
    if kind not in CONVERTIBLE:
        raise ValueError(f"cannot convert {kind!r}{nearest(kind, tuple(CONVERTIBLE))}")
    _require_own_options(kind, options)
    datasets = open_splits(CONVERTIBLE[kind], source, splits, **options)
    target = Path(destination)
    require_other_folder(source, destination)
    # Splits that stay need the classes and ids that they were written with.
    staying = set(FolderDataset.splits(target)) - {dataset.split for dataset in datasets}
    anew = overwrite and not staying
    space = datasets[0].label_space
    _require_same_classes(target, space, overwrite, anew)
    _require_same_ids(target, kind, options, anew)
    if overwrite:
        _remove_samples(target, datasets)
    target.mkdir(parents=True, exist_ok=True)
    space.save(target / "classes.json")
    _write(target / RECORD, json.dumps(_record(kind, options)).encode())
    result = Conversion(str(source), str(destination), datasets[0].layout)
    for dataset in datasets:
        if note := left_out(dataset):
            result.notes.append(note)
            continue
        result.faults += dataset.faults
        outcomes = mapped(
            functools.partial(_convert_one, dataset, target, link),
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


def require_other_folder(source: str | Path, destination: str | Path) -> None:
    """ValueError where a data set would be written over itself."""
    if Path(destination).resolve() == Path(source).resolve():
        raise ValueError(f"{destination}: is the source itself; give another folder to write to")


def _require_own_options(kind: str, options: dict[str, Any]) -> None:
    """ValueError for an option that only other kinds have."""
    for name in options:
        kinds = [other for other, layout in CONVERTIBLE.items() if name in signature(layout).parameters]
        if kinds and kind not in kinds:
            flag = "nearest" if name == "snap" else name
            raise ValueError(f"convert {kind} takes no --{flag}, which belongs to {', '.join(kinds)}")


def _require_same_classes(target: Path, label_space: LabelSpace, overwrite: bool, anew: bool) -> None:
    """ValueError when the folder's classes are others, or when it belongs to something else."""
    classes = target / "classes.json"
    if classes.exists():
        if not anew and LabelSpace.load(classes) != label_space:
            raise ValueError(
                f"{classes}: other classes than the source's; write to a new folder or `--overwrite` all"
            )
    elif target.exists() and not overwrite and any(target.iterdir()):
        raise ValueError(f"{target}: not empty; write to a new folder or `--overwrite`")


def _require_same_ids(target: Path, kind: str, options: dict[str, Any], anew: bool) -> None:
    """ValueError where ids were replaced otherwise for samples there."""
    record, now = target / RECORD, _record(kind, options)
    if record.exists() and not anew and (then := json.loads(record.read_text())) != now:
        raise ValueError(
            f"{target}: was converted otherwise ({_listed(then)}; now {_listed(now)}); write to a new folder "
            "or `--overwrite` all"
        )


def _record(kind: str, options: dict[str, Any]) -> dict[str, str]:
    """How ids are replaced.

    The other options need no record: classes are held against classes.json, photos may lie elsewhere now, and
    snapping changes only what was left out.
    """
    return {"kind": kind} | {name: str(value) for name, value in options.items() if name == "ids"}


def _remove_samples(target: Path, datasets: Sequence[PairedDataset]) -> None:
    """Removes the folders of these splits, so that no old sample stays beside the new ones.

    Photos go first, since a sample with a photo is taken for whole. ValueError, and nothing removed, where
    the samples come from no conversion, or the source's own files are among them.
    """
    places = [target / dataset.split / kind for kind in KINDS for dataset in datasets]
    folders = [folder for folder in places if folder.is_dir()]
    if folders and not (target / RECORD).exists():
        raise ValueError(f"{target}: holds samples, but no {RECORD} of a conversion; give another folder")
    sources = {os.path.dirname(d.path(file)) for d in datasets for entry in d.entries for file in entry[1:3]}
    read = [Path(folder).resolve() for folder in sources]
    for folder in folders:
        if any(path.is_relative_to(folder.resolve()) for path in read):
            raise ValueError(f"{folder}: holds files of the source, which would go; give another folder")
    for folder in folders:
        if folder.is_symlink():
            folder.unlink()
        else:
            shutil.rmtree(folder)


def _listed(options: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in options.items())


def _convert_one(dataset: PairedDataset, target: Path, link: bool, index: int) -> str | Fault:
    """Write one sample, its photo last: a sample with a photo is whole. "written", "kept" or the fault."""
    entry = dataset.entries[index]
    suffix = os.path.splitext(entry.photo)[1]
    copied = suffix.lower() in PHOTO_SUFFIXES
    folder = target / dataset.split
    photo = folder / "images" / f"{entry.stem}{suffix if copied else '.png'}"
    instance_map = folder / "instances" / f"{entry.stem}.png"
    if photo.exists() and (entry.instances is None or instance_map.exists()):
        return "kept"
    try:
        image, labels, instances = dataset.load(index)
        dataset.to_index(entry, labels)
    except CorruptSample as error:
        return dataset.fault(error)
    _write(folder / "labels" / f"{entry.stem}.png", encode_ids(labels))
    if instances is not None:
        _write(instance_map, encode_ids(narrow_instances(instances)))
    if not copied:
        _write(photo, encode_png(image))
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
    short = hashlib.blake2b(os.fsencode(path.name), digest_size=8).hexdigest()  # names may have full length
    temporary = path.with_name(f".{short}.part")
    temporary.write_bytes(content)
    os.replace(temporary, path)


def _linked(source: str, target: Path) -> bool:
    """Hard-link `target` to `source`; False where the file system cannot."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        target.unlink(missing_ok=True)
        os.link(os.path.realpath(source), target)  # a link to a symbolic link may lead nowhere
    except OSError:
        return False
    return True
