"""A quick look at every file before a run, so that a long set is through in a minute.

Of photos and instance maps header and end; what raises no doubt is taken for sound. What does (no image's
header, no end, another size than its partner) is decoded, so that only files are refused which `data check`
refuses too. Label maps are decoded, since no header tells which ids they hold.
"""

import os
from pathlib import Path

import numpy as np
from PIL import Image

from ccfpse.data.dataset import PairedDataset
from ccfpse.data.decode import BROKEN
from ccfpse.data.pairing import Fault
from ccfpse.data.parallel import mapped
from ccfpse.data.sample import CorruptSample

ENDS = {"PNG": b"IEND\xaeB`\x82", "JPEG": b"\xff\xd9"}
THREADS = 8  # the look waits for the disk more than it computes
DECODED = 20_000  # label maps that are decoded, evenly spread over longer sets


def verify(dataset: PairedDataset, *, first: int = 0, step: int = 1, progress: bool = False) -> None:
    """Raises ValueError, naming them, where files of a split are truncated, no images or unequal in size, and
    where label maps hold no ids or ids of no class.

    first, step: looks at samples first, first + step, …, so that several processes share the work.
    """
    indices = range(first, len(dataset), step)
    apart = -(-len(dataset) // DECODED)
    looks = mapped(
        lambda place: _look(dataset, indices[place], indices[place] % apart == 0),
        len(indices),
        f"looking at the files of {dataset.split}",
        workers=THREADS,
        progress=progress,
    )
    dataset.refuse([fault for fault in looks if fault is not None])


def _look(dataset: PairedDataset, index: int, decode: bool) -> Fault | None:
    entry = dataset.entries[index]
    files = dataset.image_files(entry)
    sizes = {_size(Path(dataset.path(file))) for file in files}
    try:
        if len(sizes) > 1 or None in sizes:
            dataset.sample(index, np.random.default_rng(0))
        elif decode and entry.labels in files:
            dataset.to_index(entry, dataset.read_labels(entry))
    except CorruptSample as error:
        return dataset.fault(error)
    return None


def _size(path: Path) -> tuple[int, int] | None:
    """(width, height) by the header of a file that ends as its format does; None where there is a doubt."""
    try:
        with path.open("rb") as file, Image.open(file) as image:
            file.seek(-8, os.SEEK_END)
            end, length = file.read(), file.tell()
            if image.format == "WEBP":
                file.seek(4)
                whole = int.from_bytes(file.read(4), "little") + 8 <= length
            else:
                whole = image.format in ENDS and end.endswith(ENDS[image.format])
            return image.size if whole else None
    except BROKEN:
        return None
