"""A COCO annotation file, held as its text: annotations are parsed when their picture is asked for.

The instances of COCO train2017 are 450 MB of JSON, which as Python objects would fill several GB in each
worker.
"""

import functools
import json
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ccfpse.data.coco_masks import paint, segmentation_region

SPACE = re.compile(r"[ \t\r\n]*")
LOOKED_AT = 1000  # annotations, to tell pixels from shares
NEEDED = ("images", "annotations", "categories")


class Picture(NamedTuple):
    """An entry of "images"."""

    file_name: str
    size: tuple[int, int]  # height, width


class AnnotationFile:
    """The pictures, categories and annotations of one COCO-format JSON file.

    pictures: in the file's order. categories: id -> name. annotated: whether any annotation has a
    segmentation. boxes_only, unmatched: how many have none, or belong to no listed picture (they are left
    out). Raises ValueError, naming the file, when it is not of this format, and when all its annotations
    would be left out.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        try:
            self._text = Path(path).read_text(encoding="utf-8-sig")
            self._index()
        except OSError as error:
            raise ValueError(f"{path}: cannot be read ({error.strerror or error})") from None
        except UnicodeDecodeError:
            raise ValueError(f"{path}: not UTF-8 text") from None
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}: not JSON: {error}") from None
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path}: not in COCO format: {type(error).__name__} {error}") from None

    def _index(self) -> None:
        self.pictures: list[Picture] = []
        self.categories: dict[int, str] = {}
        self.boxes_only = panoptic = 0
        farthest = 0.0
        place_of: dict[Any, int] = {}
        keys, owners, spans = [], [], []
        for key, value, start, end in _walk(self._text, "annotations"):
            if key == "annotations" and value is not None:
                if value.get("segmentation"):
                    owners.append(value["image_id"])
                    spans.append((start, end))
                    if len(spans) <= LOOKED_AT:
                        farthest = max(farthest, _farthest(value["segmentation"]))
                else:
                    self.boxes_only += 1
                    panoptic += "segments_info" in value
                continue
            keys.append(key)
            if key == "images":
                for image in value:
                    place_of[image["id"]] = len(self.pictures)
                    size = int(image["height"]), int(image["width"])
                    name = image["file_name"].replace("\\", "/")  # of an export made on Windows
                    self.pictures.append(Picture(name, size))
            elif key == "categories":
                self.categories = {category["id"]: category["name"] for category in value}
                if wrong := [number for number in self.categories if not isinstance(number, int)]:
                    raise TypeError(f"category id {wrong[0]!r} is no whole number")
                names = self.categories.values()
                if unnamed := [name for name in names if not isinstance(name, str) or not name.strip()]:
                    raise TypeError(f"category name {unnamed[0]!r} is no text")
        missing = [key for key in NEEDED if key not in keys]
        if missing:
            raise ValueError(
                f"{self.path}: not in COCO format: {', '.join(missing)} missing; it has {', '.join(keys)}"
            )
        if self.boxes_only and not spans:
            cure = "export them as polygons or masks"
            if panoptic:
                cure = (
                    'they are panoptic ("segments_info"), with masks in PNGs: give the JSON of the instances'
                )
            raise ValueError(
                f"{self.path}: none of its {self.boxes_only} annotations has a segmentation; {cure}"
            )
        if 0 < farthest <= 1:
            raise ValueError(
                f"{self.path}: its polygons' coordinates are all 0..1, shares of the size; export pixels"
            )
        self.annotated = bool(spans)
        places = np.array([place_of.get(owner, -1) for owner in owners], dtype=np.int64)
        self.unmatched = int((places == -1).sum())
        if self.pictures and self.unmatched and self.unmatched == len(places):
            raise ValueError(
                f"{self.path}: no annotation's image_id ({owners[0]!r}, …) is the id of an image "
                f"({next(iter(place_of))!r}, …); export images and annotations together"
            )
        order = np.argsort(places, kind="stable")
        self._spans = np.array(spans, dtype=np.int64).reshape(-1, 2)[order]
        self._starts = np.searchsorted(places[order], np.arange(len(self.pictures) + 1))

    def annotations(self, picture: int) -> list[dict[str, Any]]:
        """The annotations of pictures[picture] that have a segmentation, in the file's order."""
        spans = self._spans[self._starts[picture] : self._starts[picture + 1]]
        return [json.loads(self._text[start:end]) for start, end in spans]

    def painted(self, picture: int, size: tuple[int, int] | None = None) -> tuple[np.ndarray, list[int]]:
        """The instance map of a picture: H×W int32, i + 1 for its i-th annotation, 0 for none; and the
        annotations' category ids.

        size: (height, width), by default as the file says. Raises ValueError naming a faulty annotation.
        """
        size = size or self.pictures[picture].size
        annotations = self.annotations(picture)
        regions = []
        for annotation in annotations:
            try:
                regions.append(segmentation_region(annotation["segmentation"], size))
                if not isinstance(category := annotation.get("category_id", -1), int):
                    raise TypeError(f"category_id is {category!r}, expected a whole number")
            except (ValueError, TypeError, ArithmeticError) as error:
                raise ValueError(f"annotation {annotation.get('id')}: {error}") from None
        crowds = [bool(annotation.get("iscrowd")) for annotation in annotations]
        return paint(regions, crowds, size), [annotation.get("category_id", -1) for annotation in annotations]


def _farthest(segmentation: Any) -> float:
    """The largest coordinate of an annotation's polygons; infinity for run lengths and what is malformed."""
    try:
        return max((float(max(polygon)) for polygon in segmentation), default=0.0)
    except (TypeError, ValueError):
        return math.inf


def read_annotations(path: str | Path) -> AnnotationFile:
    """The annotation file at `path`; the last few are kept, since several splits look at each other's."""
    return _read(os.fspath(path), os.stat(path).st_mtime_ns)


@functools.lru_cache(maxsize=4)
def _read(path: str, modified_ns: int) -> AnnotationFile:
    return AnnotationFile(path)


def _walk(text: str, listed: str) -> Iterator[tuple[str, Any, int, int]]:
    """(key, value, start, end) of the members of a JSON object, spans in `text`.

    Of the member `listed` one such tuple per element of its list, then one with the value None.
    """
    decoder = json.JSONDecoder()

    def after(symbol: str, at: int) -> int:
        at = _skip(text, at)
        if not text.startswith(symbol, at):
            raise json.JSONDecodeError(f"expected {symbol!r}", text, at)
        return _skip(text, at + 1)

    at = after("{", 0)
    while not text.startswith("}", at):
        key, at = decoder.raw_decode(text, at)
        at = after(":", at)
        if key == listed:
            at = after("[", at)
            while not text.startswith("]", at):
                value, end = decoder.raw_decode(text, at)
                yield key, value, at, end
                at = _skip(text, end)
                if not text.startswith("]", at):
                    at = after(",", at)
            at += 1
            yield key, None, at, at
        else:
            value, end = decoder.raw_decode(text, at)
            yield key, value, at, end
            at = end
        at = _skip(text, at)
        if not text.startswith("}", at):
            at = after(",", at)


def _skip(text: str, at: int) -> int:
    match = SPACE.match(text, at)
    return match.end() if match else at
