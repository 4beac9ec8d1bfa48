"""Opening a data set without saying which layout it has."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ccfpse.data.ade20k import Ade20k
from ccfpse.data.cityscapes import Cityscapes
from ccfpse.data.coco_json import CocoJson
from ccfpse.data.coco_stuff import CocoStuff
from ccfpse.data.dataset import PairedDataset
from ccfpse.data.folder import FolderDataset
from ccfpse.data.palette import PaletteDataset
from ccfpse.data.remap import RemapDataset
from ccfpse.data.shards import ShardDataset
from ccfpse.data.transforms import PairedTransform
from ccfpse.labels import LabelSpace

# In the order in which a folder is tried.
LAYOUTS: tuple[type[PairedDataset], ...] = (
    FolderDataset,
    ShardDataset,
    Cityscapes,
    Ade20k,
    CocoStuff,
    CocoJson,
)

TRAINED = ("train", "val")  # the splits that training reads

# What `ccfpse data convert` takes.
CONVERTIBLE: Mapping[str, type[PairedDataset]] = {
    "coco-json": CocoJson,
    "coco-stuff": CocoStuff,
    "ade20k": Ade20k,
    "cityscapes": Cityscapes,
    "palette": PaletteDataset,
    "remap": RemapDataset,
}


def find_layout(root: str | Path) -> type[PairedDataset]:
    """The class that reads `root`; ValueError saying what was looked for and what is there."""
    for layout in LAYOUTS:
        if layout.splits(root):
            _refuse_other_classes(layout, root)
            return layout
    inside = next(
        (name for name in _folders(root) for layout in LAYOUTS if layout.splits(f"{root}/{name}")), None
    )
    if inside is not None:
        raise ValueError(f"{root}: no data set itself, but {inside} in it is one; give {root}/{inside}")
    looked = "".join(f"\n  {layout.layout}: {layout.expects}" for layout in LAYOUTS)
    raise ValueError(f"{root}: {contents(root)}; a data set is one of{looked}")


def open_dataset(
    root: str | Path,
    split: str = "train",
    transform: PairedTransform | None = None,
    *,
    instances: bool = True,
) -> PairedDataset:
    """A split of a data set of any known layout; ValueError where it is none or its files do not pair up.

    instances: False leaves instance maps alone, whatever state they are in.
    """
    return find_layout(root)(root, split, transform, instances=instances)


def open_splits(
    layout: type[PairedDataset], root: str | Path, splits: Sequence[str] | None = None, **options: Any
) -> list[PairedDataset]:
    """Splits of a set (by default all), their faults collected, not raised; `options` go to the layout.

    ValueError, saying what was looked for and what is there, when `root` is not of this layout.
    """
    there = layout.splits(root)
    if not there:
        raise ValueError(f"{root}: {contents(root)}; expected {layout.layout}: {layout.expects}")
    _refuse_other_classes(layout, root)
    for split in splits or ():
        if split not in there:
            raise ValueError(f"{root}: no split {split!r}; it has {', '.join(there)}")
    return [layout(root, split, strict=False, **options) for split in splits or there]


def standard_space(classes: int, unknown: bool) -> LabelSpace | None:
    """The label space of the well-known set with that many classes, with or without an unknown channel."""
    spaces = (layout.standard for layout in LAYOUTS if layout.standard is not None)
    return next((space for space in spaces if (space.classes, space.unknown) == (classes, unknown)), None)


def _refuse_other_classes(layout: type[PairedDataset], root: str | Path) -> None:
    """ValueError for a classes.json of somebody's own beside files in the form of a well-known set."""
    classes = Path(root) / "classes.json"
    if layout.standard is None or not classes.exists():
        return
    if LabelSpace.load(classes).names != layout.standard.names:
        raise ValueError(
            f"{classes}: other classes than the {len(layout.standard)} of {layout.layout}, as which this "
            "folder is read; move files of your own to train/images and train/labels, or remove this one"
        )


def left_out(dataset: PairedDataset) -> str | None:
    """A note on a split that training does not read and that holds nothing complete; None for others."""
    if dataset.split in TRAINED or dataset.entries or not dataset.faults:
        return None
    return f"{dataset.split} is left out, training does not read it: {dataset.faults[0]}"


def contents(root: str | Path) -> str:
    """What a folder holds, in the middle of a sentence about what it lacks."""
    try:
        names = sorted(os.listdir(root))
    except FileNotFoundError:
        return "no such folder"
    except NotADirectoryError:
        return "not a folder"
    if not names:
        return "an empty folder"
    return "not recognised; it holds " + ", ".join(names[:8]) + (", …" if len(names) > 8 else "")


def _folders(root: str | Path) -> list[str]:
    """The names of the first folders in a folder."""
    if not os.path.isdir(root):
        return []
    with os.scandir(root) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir())[:20]
