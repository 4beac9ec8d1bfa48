"""Our data set format: `classes.json` beside SPLIT/images, SPLIT/labels and, optionally, SPLIT/instances."""

import os
from dataclasses import dataclass
from pathlib import Path

from ccfpse.data.dataset import Entry, PairedDataset
from ccfpse.data.transforms import PairedTransform
from ccfpse.labels import LabelSpace

PHOTO_EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp")


@dataclass(frozen=True)
class Fault:
    """Something wrong with a file of a data set: which, what, and the cure."""

    file: str
    what: str
    cure: str

    def __str__(self) -> str:
        return f"{self.file}: {self.what}; {self.cure}"


class FolderDataset(PairedDataset):
    """A split of a data set folder.

    Only lists names, so that 100 000 photos open quickly; pixels are checked by `check_dataset` and as
    samples are read. Raises ValueError, naming the first faulty files, when photos, label maps and instance
    maps do not pair up, or the folder lacks what it needs.
    """

    def __init__(
        self, root: str | Path, split: str = "train", transform: PairedTransform | None = None
    ) -> None:
        label_space = LabelSpace.load(Path(root) / "classes.json")
        entries, faults = list_split(root, split)
        if faults:
            listed = "\n  ".join(str(fault) for fault in faults[:5])
            more = f"\n  and {len(faults) - 5} more; `ccfpse data check` lists all" if len(faults) > 5 else ""
            raise ValueError(f"{Path(root) / split}: {len(faults)} faults\n  {listed}{more}")
        super().__init__(root, label_space, entries, transform)
        self.split = split


def splits(root: str | Path) -> list[str]:
    """The splits of a data set folder: its sub-folders that hold `images` or `labels`, `train` first."""
    root = Path(root)
    found = [path.name for path in root.iterdir() if (path / "images").is_dir() or (path / "labels").is_dir()]
    return sorted(found, key=lambda name: (name != "train", name))


def list_split(root: str | Path, split: str) -> tuple[list[Entry], list[Fault]]:
    """The complete pairs of a split, ordered by name, and the faults of the rest; reads names, no pixels.

    Raises ValueError when the split has no photos at all.
    """
    folder = Path(root) / split
    if not (folder / "images").is_dir():
        found = ", ".join(splits(root)) if Path(root).is_dir() else ""
        raise ValueError(
            f"{folder / 'images'}: no such folder; needed: classes.json, {split}/images, {split}/labels"
            + (f" (splits here: {found})" if found else "")
        )
    photos, faults = _by_stem(folder, "images", PHOTO_EXTENSIONS)
    labels, label_faults = _by_stem(folder, "labels", (".png",))
    has_instances = (folder / "instances").is_dir()
    instances, instance_faults = _by_stem(folder, "instances", (".png",)) if has_instances else ({}, [])
    faults += label_faults + instance_faults
    if not photos and not faults:
        raise ValueError(f"{folder / 'images'}: holds no photos ({', '.join(PHOTO_EXTENSIONS)})")
    if not labels and not label_faults:
        raise ValueError(
            f"{folder / 'labels'}: holds no label maps; "
            "each photo images/NAME.jpg needs labels/NAME.png of class ids"
        )

    entries = []
    for stem in sorted(photos.keys() | labels.keys() | instances.keys()):
        wanted = [(photos, "images", "photo"), (labels, "labels", "label map")]
        if has_instances:
            wanted.append((instances, "instances", "instance map"))
        missing = [(kind, name) for files, kind, name in wanted if stem not in files]
        for kind, name in missing:
            present = next(files[stem] for files, _, _ in wanted if stem in files)
            suffix = "{jpg,jpeg,png,webp}" if kind == "images" else "png"
            faults.append(
                Fault(present, f"has no {name}", f"add {split}/{kind}/{stem}.{suffix} or remove this file")
            )
        if not missing:
            entries.append(Entry(stem, photos[stem], labels[stem], instances.get(stem)))
    return entries, faults


def _by_stem(folder: Path, kind: str, extensions: tuple[str, ...]) -> tuple[dict[str, str], list[Fault]]:
    """Files of one kind by stem, as paths relative to the root, and the names that cannot be used."""
    if not (folder / kind).is_dir():
        return {}, []
    files: dict[str, str] = {}
    faults = []
    for name in sorted(os.listdir(folder / kind)):
        stem, extension = os.path.splitext(name)
        path = f"{folder.name}/{kind}/{name}"
        if name.startswith(".") or name in ("Thumbs.db", "desktop.ini"):
            continue
        if extension.lower() not in extensions:
            faults.append(
                Fault(path, f"unexpected file (expected {', '.join(extensions)})", "convert or remove it")
            )
        elif stem in files:
            faults.append(Fault(path, f"same name as {files[stem]}", "rename or remove one of the two"))
        else:
            files[stem] = path
    return files, faults
