"""A look at the files before a run.

Samples are decoded whole, as training will decode them; of sets too long for that an even spread of samples.
Of the others header and end of each file are read, and what raises a doubt there (no image's header, no end,
another size than its partner) is decoded, so that only files are refused which `data check` refuses too.
"""

import os
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

import numpy as np
from PIL import Image

from ccfpse.data.dataset import PairedDataset
from ccfpse.data.decode import BROKEN
from ccfpse.data.pairing import Fault
from ccfpse.data.parallel import mapped
from ccfpse.data.sample import CorruptSample

ENDS = {"PNG": b"IEND\xaeB`\x82", "JPEG": b"\xff\xd9"}
THREADS = 8  # on few cores the look waits for the disk as much as it computes
DECODED = 20_000  # samples that are decoded, evenly spread over longer sets


def verify(dataset: PairedDataset, *, first: int = 0, step: int = 1, progress: bool = False) -> np.ndarray:
    """Raises ValueError, naming them, where files of a split are damaged, no images or unequal in size, and
    where label maps hold no ids or ids of no class.

    first, step: looks at samples first, first + step, …, so that several processes share the work. Of sets on
    other machines, which would have to be fetched, only the last sample of each shard is read. Returns which
    channels occur in the label maps that were decoded: bool of `label_space.channels`.
    """
    occurs = np.zeros(dataset.label_space.channels, dtype=bool)
    apart = -(-len(dataset) // DECODED)
    if dataset.remote:
        indices: Sequence[int] = [end - 1 for end in accumulate(dataset.groups or ())][first::step]
    else:
        indices = range(first, len(dataset), step)
    looks = mapped(
        lambda place: _look(dataset, indices[place], dataset.remote or place % apart == 0, occurs),
        len(indices),
        f"looking at the files of {dataset.split}",
        workers=THREADS,
        progress=progress,
    )
    with dataset.comparing_files():
        dataset.refuse([fault for fault in looks if fault is not None])
    return occurs


def _look(dataset: PairedDataset, index: int, decode: bool, occurs: np.ndarray) -> Fault | None:
    entry = dataset.entries[index]
    if not decode:
        sizes = {_size(Path(dataset.path(file))) for file in dataset.image_files(entry)}
        if len(sizes) < 2 and None not in sizes:
            return None
    try:
        _, labels, _ = dataset.load(index)
        occurs[dataset.to_index(entry, labels)] = True
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
