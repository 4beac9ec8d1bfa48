"""Label PNGs with a palette: whether their entries are class ids, or only numbers of colours."""

import io

import numpy as np
from PIL import Image

from ccfpse.data.sample import CorruptSample
from ccfpse.labels import LabelSpace


def refuse_colors(name: str, content: bytes, labels: np.ndarray, space: LabelSpace) -> None:
    """Raises CorruptSample where the palette shows that entries number colours, not classes.

    name: the file, for messages. content: its bytes. labels: H×W, what it decodes to. Entries number colours
    where all that occur have colours of classes, but one has that of another class than its own. Black may
    be no class.
    """
    with Image.open(io.BytesIO(content)) as image:
        if image.mode != "P":
            return
        palette = np.array(image.getpalette("RGB"), dtype=np.int64).reshape(-1, 3).tolist()
    class_of = {color: number for number, color in enumerate(space.colors)}
    wrong = []
    for entry in np.flatnonzero(np.bincount(labels.ravel())).tolist():
        if entry == space.ignore or entry >= len(palette):
            continue
        color = tuple(palette[entry])
        if color not in class_of and color != (0, 0, 0):
            return
        if color in class_of and space.colors[entry : entry + 1] != (color,):
            wrong.append((entry, space.names[class_of[color]]))
    if wrong:
        listed = ", ".join(f"{entry} the colour of {class_name!r}" for entry, class_name in wrong[:5])
        raise CorruptSample(
            name,
            f"its palette gives id {listed}{', …' * (len(wrong) > 5)}",
            "if it is drawn in the classes' colours, `ccfpse data convert palette`; if its ids are right, "
            "mend the colors in classes.json",
        )
