"""The bundled layouts: PNGs of the package's own folder, offered for models whose class colours they use."""

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from ccfpse.labels import LabelSpace

FOLDER = Path(__file__).resolve().parents[1] / "bundled" / "layouts"


def bundled_layouts(folder: Path = FOLDER) -> dict[str, bytes]:
    """PNG bytes by name (the file's stem), in the order of names; empty where the package has none."""
    return {path.stem: path.read_bytes() for path in sorted(folder.glob("*.png"))}


def drawn_for(content: bytes, space: LabelSpace) -> bool:
    """Whether an indexed PNG shows every id it uses in that class's colour: it means what it shows."""
    with Image.open(BytesIO(content)) as image:
        if image.mode != "P":
            return False
        palette = np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
        used = np.unique(np.asarray(image))
    colors = dict(enumerate(space.colors)) | ({space.ignore: (0, 0, 0)} if space.unknown else {})
    return all(i < len(palette) and colors.get(int(i)) == tuple(palette[i].tolist()) for i in used)
