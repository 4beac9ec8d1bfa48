"""A quick look at every file before a run: headers and ends, so that a long set is through in a minute.

What raises no doubt is taken for sound. What does (no image's header, no end, another size than its partner)
is decoded, so that only files are refused which `data check` refuses too.
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


def verify(dataset: PairedDataset, *, first: int = 0, step: int = 1, progress: bool = False) -> None:
    """Raises ValueError, naming them, where files of a split are truncated, no images, or unequal in size.

    first, step: looks at samples first, first + step, …, so that several processes share the work.
    """
    indices = range(first, len(dataset), step)
    looks = mapped(
        lambda place: _look(dataset, indices[place]),
        len(indices),
        f"looking at the files of {dataset.split}",
        workers=THREADS,
        progress=progress,
    )
    dataset.refuse([fault for fault in looks if fault is not None])


def _look(dataset: PairedDataset, index: int) -> Fault | None:
    files = dataset.image_files(dataset.entries[index])
    sizes = {_size(Path(dataset.path(file))) for file in files}
    if len(sizes) <= 1 and None not in sizes:
        return None
    try:
        dataset.sample(index, np.random.default_rng(0))
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
