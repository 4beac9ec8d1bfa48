"""Opening a data set without saying which layout it has."""

import os
from pathlib import Path

from ccfpse.data.dataset import PairedDataset
from ccfpse.data.folder import FolderDataset
from ccfpse.data.transforms import PairedTransform

LAYOUTS: tuple[type[PairedDataset], ...] = (FolderDataset,)


def find_layout(root: str | Path) -> type[PairedDataset]:
    """The class that reads `root`; ValueError saying what was looked for and what is there."""
    for layout in LAYOUTS:
        if layout.splits(root):
            return layout
    looked = "".join(f"\n  {layout.layout}: {layout.expects}" for layout in LAYOUTS)
    raise ValueError(f"{root}: {_contents(root)}; a data set is one of{looked}")


def open_dataset(
    root: str | Path, split: str = "train", transform: PairedTransform | None = None
) -> PairedDataset:
    """A split of a data set of any known layout; ValueError where it is none or its files do not pair up."""
    return find_layout(root)(root, split, transform)


def _contents(root: str | Path) -> str:
    try:
        names = sorted(os.listdir(root))
    except FileNotFoundError:
        return "no such folder"
    except NotADirectoryError:
        return "not a folder"
    if not names:
        return "an empty folder"
    return "no known data set; it holds " + ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
