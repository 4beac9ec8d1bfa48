"""COCO's segmentations (polygons, run lengths) as masks, and masks painted over each other."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np


class Region(NamedTuple):
    """A part of a picture: rows top …, columns left … of `mask` (h×w bool)."""

    top: int
    left: int
    mask: np.ndarray


def segmentation_region(segmentation: Any, size: tuple[int, int]) -> Region:
    """The region of an annotation's "segmentation" in a picture of (height, width).

    A list of polygons [x, y, x, y, …] (their union), or run lengths {"size": [h, w], "counts": list or
    string}. Raises ValueError for anything else.
    """
    if isinstance(segmentation, Mapping):
        return cropped(decode_runs(segmentation, size))
    if not isinstance(segmentation, Sequence) or isinstance(segmentation, str):
        raise ValueError(f"segmentation must be polygons or run lengths, got {type(segmentation).__name__}")
    if len(segmentation) > 2 and all(isinstance(p, Sequence) and len(p) == 2 for p in segmentation):
        raise ValueError("a polygon must be a flat list x, y, x, y, …, not a list of points")
    whole = np.zeros(size, dtype=bool)
    for polygon in segmentation:
        top, left, mask = polygon_region(polygon, size)
        whole[top : top + mask.shape[0], left : left + mask.shape[1]] |= mask
    return cropped(whole)


def polygon_region(polygon: Sequence[float], size: tuple[int, int]) -> Region:
    """The pixels whose centres lie inside a polygon x, y, x, y, … (even-odd rule, so holes may be cut).

    Pixel (row r, column c) covers c … c+1, r … r+1, as in COCO. Raises ValueError for an odd number of
    values.
    """
    if not isinstance(polygon, Sequence) or isinstance(polygon, str) or len(polygon) % 2:
        raise ValueError("a polygon must be a flat list x, y, x, y, … of even length")
    points = np.asarray(polygon, dtype=np.float64).reshape(-1, 2)
    if not np.isfinite(points).all():
        raise ValueError("a polygon has a coordinate that is not a finite number")
    (x0, y0), (x1, y1) = points.T, np.roll(points, -1, axis=0).T
    # Rows whose centres an edge crosses, its upper end belonging to it and its lower one not.
    first = np.clip(np.ceil(np.minimum(y0, y1) - 0.5), 0, size[0]).astype(np.int64)
    end = np.clip(np.ceil(np.maximum(y0, y1) - 0.5), 0, size[0]).astype(np.int64)
    length = end - first
    if not length.any():
        return Region(0, 0, np.zeros((0, 0), dtype=bool))
    edge = np.repeat(np.arange(len(points)), length)
    row = first[edge] + np.arange(len(edge)) - np.repeat(np.cumsum(length) - length, length)
    slope = np.divide(x1 - x0, y1 - y0, out=np.zeros_like(x0), where=y1 != y0)
    crossing = x0[edge] + (row + 0.5 - y0[edge]) * slope[edge]
    column = np.clip(np.ceil(crossing - 0.5), 0, size[1]).astype(np.int64)
    top, left = row.min(), column.min()
    toggles = np.zeros((row.max() - top + 1, column.max() - left + 1), dtype=np.int32)
    np.add.at(toggles, (row - top, column - left), 1)
    return Region(int(top), int(left), (np.cumsum(toggles, axis=1) % 2).astype(bool)[:, :-1])


def decode_runs(runs: Mapping[str, Any], size: tuple[int, int]) -> np.ndarray:
    """The H×W bool mask of COCO run lengths: columns from top to bottom, runs of 0 and 1 in turn, 0 first.

    Raises ValueError when the runs are of another size, or do not fill it.
    """
    counts = runs.get("counts")
    if isinstance(counts, str | bytes):
        counts = expand_counts(counts)
    if not isinstance(counts, Sequence):
        raise ValueError('run lengths need "counts", a list or a string')
    if tuple(runs.get("size", ())) != tuple(size):
        raise ValueError(f"run lengths are of size {runs.get('size')}, the picture is {list(size)} (h, w)")
    lengths = np.asarray(counts, dtype=np.int64)
    if (lengths < 0).any() or lengths.sum() != size[0] * size[1]:
        raise ValueError(
            f"run lengths sum to {lengths.sum()}, but the picture has {size[0] * size[1]} pixels"
        )
    flat = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
    return flat.reshape(size[1], size[0]).T


def expand_counts(text: str | bytes) -> list[int]:
    """The run lengths in COCO's compressed string.

    Six bits per character (code - 48): five of the number, lowest first, and 32 where more follow; the last
    one's bit 16 is the sign. From the fourth number on, each is the difference to the one two places
    before.
    """
    codes = text.encode("ascii") if isinstance(text, str) else text
    counts: list[int] = []
    value = shift = 0
    for code in codes:
        bits = code - 48
        if not 0 <= bits < 64:
            raise ValueError(f"compressed run lengths hold the character {chr(code)!r}")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("compressed run lengths end in the middle of a number")
    return counts


def cropped(mask: np.ndarray) -> Region:
    """The smallest region that holds all of an H×W mask."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return Region(0, 0, np.zeros((0, 0), dtype=bool))
    return Region(
        int(rows[0]), int(columns[0]), mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].copy()
    )


def paint(regions: Sequence[Region], crowds: Sequence[bool], size: tuple[int, int]) -> np.ndarray:
    """Which region each pixel shows: H×W int32, i + 1 for regions[i], 0 for none.

    Crowds lie lowest, then larger regions under smaller ones, so that a hand on a person stays visible; of
    equal ones the later lies on top.
    """
    canvas = np.zeros(size, dtype=np.int32)
    areas = [int(region.mask.sum()) for region in regions]
    for i in sorted(range(len(regions)), key=lambda i: (not crowds[i], -areas[i])):
        top, left, mask = regions[i]
        canvas[top : top + mask.shape[0], left : left + mask.shape[1]][mask] = i + 1
    return canvas
