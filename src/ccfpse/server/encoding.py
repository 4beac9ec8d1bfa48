"""Photos into answers: one PNG, or a zip of several with a note of how they came about."""

import io
import json
import zipfile
from typing import Any

import numpy as np
from PIL import Image


def png(photo: np.ndarray) -> bytes:
    """PNG bytes of an H×W×3 uint8 photo, packed fast rather than small."""
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def archive(photos: np.ndarray, about: dict[str, Any]) -> bytes:
    """A zip of photo-01.png, photo-02.png, … and about.json; stored, since PNGs are packed already.

    photos: count×H×W×3 uint8.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as file:
        for i, photo in enumerate(photos, start=1):
            file.writestr(f"photo-{i:02d}.png", png(photo))
        file.writestr("about.json", json.dumps(about, indent=2))
    return buffer.getvalue()
