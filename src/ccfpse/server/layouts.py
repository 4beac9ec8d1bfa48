"""The bundled layouts: PNGs of the package's own folder, offered for models whose class colours they use."""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from ccfpse.labels import LabelSpace

FOLDER = Path(__file__).resolve().parents[1] / "bundled" / "layouts"


@dataclass(frozen=True)
class BundledLayout:
    """PNG bytes of a label map, and of its instance map where there is one."""

    labels: bytes
    instances: bytes | None


def bundled_layouts(folder: Path = FOLDER) -> dict[str, BundledLayout]:
    """Layouts by name (the file's stem), in the order of names; empty where the package has none."""
    layouts = {}
    for path in sorted(folder.glob("*.png")):
        instances = folder / "instances" / path.name
        layouts[path.stem] = BundledLayout(
            path.read_bytes(), instances.read_bytes() if instances.exists() else None
        )
    return layouts


def drawn_for(content: bytes, space: LabelSpace) -> bool:
    """Whether an indexed PNG shows every id it uses in that class's colour: it means what it shows."""
    with Image.open(BytesIO(content)) as image:
        if image.mode != "P":
            return False
        palette = np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
        used = np.unique(np.asarray(image))
    colors = dict(enumerate(space.colors)) | ({space.ignore: (0, 0, 0)} if space.unknown else {})
    return all(i < len(palette) and colors.get(int(i)) == tuple(palette[i].tolist()) for i in used)
