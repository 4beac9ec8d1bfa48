"""A layout on its own: a label map and, where there is one, its instance map; no photo."""

from pathlib import Path

import numpy as np
from PIL import Image

from ccfpse.data.decode import decode_instances, decode_labels
from ccfpse.data.transforms import PairedTransform

Layout = tuple[str, np.ndarray, np.ndarray | None]


def read_layout(path: Path, instances: Path | None, size: tuple[int, int] | None) -> Layout:
    """A label map and, where one is given, its instance map; `size` (H, W), None keeps the file's.

    Raises ValueError, naming both files, where the two maps differ in size.
    """
    labels = decode_labels(str(path), path.read_bytes())
    ids = None
    if instances is not None:
        ids = decode_instances(str(instances), instances.read_bytes())
        if ids.shape != labels.shape:
            raise ValueError(
                f"{instances}: instance map is {'×'.join(map(str, ids.shape))} (H×W), but the label map "
                f"{path} is {'×'.join(map(str, labels.shape))}; they must agree pixel for pixel"
            )
    if size is not None:
        blank = Image.new("RGB", labels.shape[::-1])
        _, labels, ids = PairedTransform(size)(blank, labels, ids)
    return path.stem, labels, ids
