"""Data set folders whose label maps are drawn in the classes' colours instead of holding their ids."""

import io
import json
import os
from pathlib import Path

import numpy as np
from PIL import Image

from ccfpse.data.decode import BROKEN
from ccfpse.data.folder import FolderDataset
from ccfpse.data.pairing import PHOTO_SUFFIXES, Entry, Fault, collect, pair
from ccfpse.data.sample import CorruptSample
from ccfpse.data.transforms import PairedTransform
from ccfpse.labels import LabelSpace

LABEL_SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".gif", ".webp", ".jpg", ".jpeg")


class PaletteDataset(FolderDataset):
    """A folder like ours, with colours in `labels`: each pixel has the colour of a class in `classes.json`.

    Black and transparent pixels have no class, unless a class is black. classes: another `classes.json`
    than the one in the folder. snap: give other colours the class of the nearest one, instead of refusing
    the file. The folders `images` and `labels` may also lie in `root` itself, which is then the split
    train.
    """

    layout = "folder of colour-coded label maps"
    expects = "classes.json with the colours, SPLIT/images and SPLIT/labels (or images and labels)"

    def __init__(
        self,
        root: str | Path,
        split: str = "train",
        transform: PairedTransform | None = None,
        *,
        strict: bool = True,
        classes: str | Path | None = None,
        snap: bool = False,
    ) -> None:
        self.classes = Path(root) / "classes.json" if classes is None else Path(classes)
        self.snap = snap
        self.snapped: dict[str, tuple[int, float]] = {}  # stem -> pixels, largest distance
        super().__init__(root, split, transform, strict=strict)

    @classmethod
    def splits(cls, root: str | Path) -> list[str]:
        return ["train"] if _is_flat(root) else super().splits(root)

    def find_label_space(self) -> LabelSpace:
        space = LabelSpace.load(self.classes)
        if "colors" not in json.loads(self.classes.read_text(encoding="utf-8-sig")):
            raise ValueError(
                f'{self.classes}: has no "colors"; give the color that each class has in the label maps, '
                '"colors": [[r, g, b], …]'
            )
        first: dict[int, str] = {}
        for name, code in zip(space.names, _codes(np.array(space.colors)), strict=True):
            if first.setdefault(int(code), name) != name:
                raise ValueError(
                    f"{self.classes}: {name!r} and {first[int(code)]!r} have the same color; "
                    "colour-coded label maps need a color of its own for each class"
                )
        palette = np.array(space.colors)
        ids = np.arange(space.classes)
        if space.ignore is not None and 0 not in first:
            palette = np.concatenate([palette, [(0, 0, 0)]])
            ids = np.append(ids, space.ignore)
        self._palette, self._palette_ids, self._palette_codes = palette, ids, _codes(palette)
        return space

    def find_entries(self) -> tuple[list[Entry], list[Fault]]:
        prefix = "" if _is_flat(self.root) else f"{self.split}/"
        photos = collect(self.root, f"{prefix}images", "photo", PHOTO_SUFFIXES)
        labels = collect(self.root, f"{prefix}labels", "label map", LABEL_SUFFIXES)
        instances = None
        if os.path.isdir(self.path(f"{prefix}instances")):
            instances = collect(self.root, f"{prefix}instances", "instance map", (".png",))
        return pair(photos, labels, instances)

    def notes(self) -> list[str]:
        if not self.snapped:
            return []
        pixels = sum(count for count, _ in self.snapped.values())
        distance = max(distance for _, distance in self.snapped.values())
        return [
            f"{self.split}: {pixels} pixels in {len(self.snapped)} label maps snapped to the nearest color, "
            f"at most {distance:.0f} away (of 441 from black to white)"
        ]

    def read_labels(self, entry: Entry) -> np.ndarray:
        colors = self._colors(entry)
        codes = _codes(colors)
        found, first, inverse, counts = np.unique(
            codes, return_index=True, return_inverse=True, return_counts=True
        )
        order = np.argsort(self._palette_codes)
        place = np.searchsorted(self._palette_codes[order], found).clip(max=len(order) - 1)
        match = order[place]
        off = self._palette_codes[match] != found
        if off.any():
            rgb = np.stack([found >> 16, found >> 8 & 255, found & 255], axis=-1)[off]
            squares = ((rgb[:, None] - self._palette) ** 2).sum(axis=-1)
            if not self.snap:
                places = [divmod(int(at), codes.shape[1]) for at in first[off]]
                raise CorruptSample(
                    self.path(entry.labels), *self._complaint(rgb, counts[off], places, squares)
                )
            match[off] = squares.argmin(axis=1)
            self.snapped[entry.stem] = int(counts[off].sum()), float(np.sqrt(squares.min(axis=1).max()))
        return self._palette_ids[match][inverse.reshape(codes.shape)]

    def _complaint(
        self, rgb: np.ndarray, counts: np.ndarray, places: list[tuple[int, int]], squares: np.ndarray
    ) -> tuple[str, str]:
        """What is wrong and the cure; rgb n×3: the colours off the palette, squares n×palette: distances²."""
        listed = []
        for i in np.argsort(-counts, kind="stable")[:5]:
            closest = int(squares[i].argmin())
            name = self.label_space.names[closest] if closest < self.label_space.classes else "no class"
            red, green, blue = rgb[i]
            listed.append(
                f"({red}, {green}, {blue}) on {counts[i]} pixels, first at row {places[i][0]}, column "
                f"{places[i][1]}, {np.sqrt(squares[i, closest]):.0f} from {name!r}"
            )
        more = f"; and {len(counts) - 5} more colours" if len(counts) > 5 else ""
        what = f"{int(counts.sum())} pixels have colours of no class: {'; '.join(listed)}{more}"
        return what, "add the colours to classes.json, repair the file, or take the nearest with `--nearest`"

    def _colors(self, entry: Entry) -> np.ndarray:
        """The label map as H×W×3 uint8, transparent pixels black."""
        name, content = self.path(entry.labels), self.content(entry.labels)
        try:
            with Image.open(io.BytesIO(content)) as image:
                lossy = image.format == "JPEG"
                pixels = np.asarray(image.convert("RGBA"))
        except BROKEN as error:
            raise CorruptSample(name, f"cannot be decoded as a label map ({error})") from error
        if lossy and not self.snap:
            raise CorruptSample(
                name, "is a JPEG, whose colours are not exact", "take the nearest with `--nearest`"
            )
        return pixels[..., :3] * (pixels[..., 3:] > 0)


def _is_flat(root: str | Path) -> bool:
    return all(os.path.isdir(f"{root}/{kind}") for kind in ("images", "labels"))


def _codes(colors: np.ndarray) -> np.ndarray:
    """…×3 colours as single numbers R·65536 + G·256 + B."""
    red, green, blue = np.moveaxis(colors.astype(np.int64), -1, 0)
    return red << 16 | green << 8 | blue
