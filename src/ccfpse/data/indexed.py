"""Label PNGs with a palette: whether their entries are class ids, or only numbers of colours."""

import io

import numpy as np
from PIL import Image

from ccfpse.data.sample import CorruptSample
from ccfpse.labels import Color, LabelSpace

Seen = dict[int, tuple[Color, str]]  # palette entry -> its colour, and the file that gave it

KEEP = "where the ids are right, `ccfpse data convert remap SRC DST --ids 0:0` keeps them"


def refuse_colors(
    name: str, content: bytes, labels: np.ndarray, space: LabelSpace, seen: Seen | None = None
) -> None:
    """Raises CorruptSample where the palette shows that entries number colours, not classes.

    name: the file, for messages. content: its bytes. labels: H×W, what it decodes to. seen: the colours of
    other files' entries, to which this file's are added.

    Entries number colours where one has another colour than in another file; where all that occur have
    colours of classes, but one has that of another class than its own (black may be no class); and where all
    are greys that are ids, but not their own.
    """
    with Image.open(io.BytesIO(content)) as image:
        if image.mode != "P":
            return
        palette = np.array(image.getpalette("RGB"), dtype=np.int64).reshape(-1, 3).tolist()
    occurring = np.flatnonzero(np.bincount(labels.ravel())).tolist()
    colors: dict[int, Color] = {}
    for entry in occurring:
        if entry != space.ignore and entry < len(palette):
            red, green, blue = palette[entry]
            colors[entry] = red, green, blue
    _refuse_greys(name, colors, space)
    _refuse_classes(name, colors, space)
    if seen is not None:
        _refuse_other_colors(name, colors, seen)


def _refuse_other_colors(name: str, colors: dict[int, Color], seen: Seen) -> None:
    for entry, color in colors.items():
        before, file = seen.setdefault(entry, (color, name))
        if before != color:
            raise CorruptSample(
                name,
                f"its palette gives id {entry} the colour {list(color)}, but that of {file} {list(before)}",
                f"where colours tell the classes, `ccfpse data convert palette`; {KEEP}",
            )


def _refuse_greys(name: str, colors: dict[int, Color], space: LabelSpace) -> None:
    greys = {entry: color[0] for entry, color in colors.items() if len(set(color)) == 1}
    if len(greys) < len(colors) or len(set(greys.values())) < max(2, len(greys)):
        return
    if any(grey >= space.classes and grey != space.ignore for grey in greys.values()):
        return
    if wrong := [entry for entry, grey in greys.items() if grey not in (entry, space.ignore)]:
        raise CorruptSample(
            name,
            f"its palette shows id {wrong[0]} as grey {greys[wrong[0]]}, which is an id itself",
            f"where the greys are the ids, save it as a greyscale PNG; {KEEP}",
        )


def _refuse_classes(name: str, colors: dict[int, Color], space: LabelSpace) -> None:
    class_of = {color: number for number, color in enumerate(space.colors)}
    if any(color not in class_of and color != (0, 0, 0) for color in colors.values()):
        return
    wrong = [
        (entry, space.names[class_of[color]])
        for entry, color in colors.items()
        if color in class_of and space.colors[entry : entry + 1] != (color,)
    ]
    if wrong:
        listed = ", ".join(f"{entry} the colour of {class_name!r}" for entry, class_name in wrong[:5])
        raise CorruptSample(
            name,
            f"its palette gives id {listed}{', …' * (len(wrong) > 5)}",
            "if it is drawn in the classes' colours, `ccfpse data convert palette`; if its ids are right, "
            "mend the colors in classes.json",
        )
