"""A canvas for facade label maps: a camera looking up at walls, windows, trees and cars placed in metres."""

import json
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SIZE = 256  # pixels on a side
EYE = 1.6  # metres above the ground
BUNDLED = Path(__file__).resolve().parents[1] / "src" / "ccfpse" / "bundled"
CLASSES = json.loads((BUNDLED / "classes.json").read_text(encoding="utf-8"))
IDS = {name: index for index, name in enumerate(CLASSES["names"])} | {"unlabelled": CLASSES["ignore"]}

Pairs = Sequence[tuple[float, float]]


def covered(polygon: np.ndarray, size: int = SIZE) -> np.ndarray:
    """Pixels (size×size bool) whose centres lie in ``polygon`` (n×2: x, y in pixels), by the even-odd rule.

    Our own few lines rather than Pillow's, whose outlines have changed between releases.
    """
    centres = np.arange(size) + 0.5
    inside = np.zeros((size, size), dtype=bool)
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        rows = np.flatnonzero((centres < y0) != (centres < y1))
        crossing = x0 + (centres[rows] - y0) * (x1 - x0) / (y1 - y0 or 1.0)
        inside[rows] ^= centres < crossing[:, None]
    return inside


@dataclass(frozen=True)
class Wall:
    """The vertical plane over the ground line from ``start`` to ``end``: (x, z) in metres, left to right."""

    start: tuple[float, float]
    end: tuple[float, float]

    @property
    def length(self) -> float:
        return math.dist(self.start, self.end)

    def points(self, outline: Pairs, out: float = 0.0) -> np.ndarray:
        """Points (n×3) of an ``outline`` in metres along and above the ground line, ``out`` before it."""
        (x, z), along = self.start, np.subtract(self.end, self.start) / self.length
        s, h = np.array(outline, dtype=float).T
        return np.stack([x + s * along[0] + out * along[1], h, z + s * along[1] - out * along[0]], axis=1)


class Canvas:
    """A label map and its instance map, with the camera that sees them and the hand that draws them.

    x goes right, y up and z away from the camera, in metres; ``pitch`` and ``roll`` are in degrees,
    ``focal`` in image sides. Every corner is off by some ``hand`` pixels, as corners clicked by people are;
    two walls that share a corner share its place, so that no sky shows between them.
    """

    def __init__(self, seed: int, *, pitch: float, roll: float = 0.0, focal: float = 0.8, hand: float = 0.45):
        self.random = random.Random(seed)
        self.pitch, self.roll, self.focal, self.hand = math.radians(pitch), math.radians(roll), focal, hand
        self.labels = np.full((SIZE, SIZE), IDS["sky"], dtype=np.uint8)
        self.instances = np.zeros((SIZE, SIZE), dtype=np.uint16)
        self.count = 0
        self.slips: dict[tuple[float, ...], tuple[float, float]] = {}

    def project(self, points: np.ndarray) -> np.ndarray:
        """Points n×3 in metres to n×2 in pixels; all must lie before the camera."""
        x, y, z = points[:, 0], points[:, 1] - EYE, points[:, 2]
        depth = z * math.cos(self.pitch) + y * math.sin(self.pitch)
        assert depth.min() > 0.1, "a point lies behind the camera"
        across, up = x / depth, (y * math.cos(self.pitch) - z * math.sin(self.pitch)) / depth
        cos, sin = math.cos(self.roll), math.sin(self.roll)
        pixels = np.stack([across * cos - up * sin, -across * sin - up * cos], axis=1) * self.focal + 0.5
        return pixels * SIZE + np.array([self.slip(point) for point in points])

    def slip(self, point: np.ndarray) -> tuple[float, float]:
        """How far off the hand puts ``point``, in pixels: drawn at its first use, the same ever after."""
        key = tuple(np.round(point, 6).tolist())
        if key not in self.slips:
            self.slips[key] = (self.random.gauss(0, self.hand), self.random.gauss(0, self.hand))
        return self.slips[key]

    def paint(self, name: str, *polygons: np.ndarray) -> None:
        """One new object of class ``name``: the union of ``polygons`` (n×2 in pixels), over what is there."""
        self.count += 1
        for polygon in polygons:
            pixels = covered(polygon)
            self.labels[pixels] = IDS[name]
            self.instances[pixels] = 0 if name == "unlabelled" else self.count

    # Surfaces and boxes

    def ground(self, name: str, near: float, far: float, left: float = -90.0, right: float = 90.0) -> None:
        """A strip of ground between two depths."""
        corners = [(left, 0.0, near), (left, 0.0, far), (right, 0.0, far), (right, 0.0, near)]
        self.paint(name, self.project(np.array(corners)))

    def outline(self, name: str, wall: Wall, outline: Pairs, out: float = 0.0) -> None:
        """A flat shape in the plane of ``wall``."""
        self.paint(name, self.project(wall.points(outline, out)))

    def plain(self, name: str, wall: Wall, height: float) -> None:
        """The whole of ``wall`` up to ``height``: a house with a flat roof, a fence, a shop front."""
        self.outline(name, wall, [(0.0, 0.0), (0.0, height), (wall.length, height), (wall.length, 0.0)])

    def rows(
        self,
        name: str,
        wall: Wall,
        lefts: Sequence[float],
        bottoms: Sequence[float],
        size: tuple[float, float],
        arch: float = 0.0,
    ) -> None:
        """Rectangles of ``size`` (width, height) at every left and bottom, an ``arch`` metres high on top."""
        width, height = size
        shape = [(0.0, 0.0), (0.0, height), (width, height), (width, 0.0)]
        shape[2:2] = [(width * t, height + arch * math.sin(math.pi * t)) for t in (0.25, 0.5, 0.75) if arch]
        for bottom in bottoms:
            for left in lefts:
                self.outline(name, wall, [(left + s, bottom + h) for s, h in shape])

    def boxes(
        self,
        name: str,
        wall: Wall,
        lefts: Sequence[float],
        bottoms: Sequence[float],
        size: tuple[float, float, float],
    ) -> None:
        """Boxes of ``size`` (width, height, depth) standing out of the wall: balconies, awnings, bins."""
        width, height, depth = size
        for bottom in bottoms:
            for left in lefts:
                right, top = left + width, bottom + height
                face = [(left, bottom), (left, top), (right, top), (right, bottom)]
                back, front = self.project(wall.points(face)), self.project(wall.points(face, depth))
                sides = [np.stack([back[i - 1], front[i - 1], front[i], back[i]]) for i in range(4)]
                self.paint(name, *sides, front)

    # Things on the ground

    def hedge(self, wall: Wall, height: float, ragged: float = 0.12) -> None:
        """A clipped hedge, or with a larger ``ragged`` a row of shrubs, ``height`` metres high."""
        steps = np.arange(0.0, wall.length, 0.35)
        top = [(s, height + self.random.uniform(-ragged, ragged)) for s in steps]
        self.outline("vegetation", wall, [(0.0, 0.0), *top, (wall.length, height), (wall.length, 0.0)])

    def crown(
        self, x: float, z: float, middle: float, width: float, height: float, top: float = 0.0
    ) -> np.ndarray:
        """Outline in pixels of leaves ``middle`` metres above (x, z); ``top`` (0 to 1) tapers it upwards."""
        phases = [self.random.uniform(0, 2 * math.pi) for _ in range(2)]
        shape = []
        for angle in np.arange(0.0, 2 * math.pi, 0.13):
            lobes = 1 + 0.10 * math.sin(3 * angle + phases[0]) + 0.07 * math.sin(8 * angle + phases[1])
            radius = lobes * self.random.uniform(0.82, 1.06)
            s, h = math.cos(angle) * radius, math.sin(angle) * radius
            shape.append((s * (1 - top * (h + 1) / 2) * width / 2, max(0.0, middle + h * height / 2)))
        return self.project(Wall((x, z), (x + 1, z)).points(shape))

    def tree(self, x: float, z: float, height: float, width: float, trunk: float, top: float = 0.0) -> None:
        """A tree: ``trunk`` metres of stem below a crown ``width`` metres wide."""
        crown = self.crown(x, z, (height + trunk) / 2, width, height - trunk, top)
        stem = [(-0.18, 0.0), (-0.11, trunk + 1), (0.11, trunk + 1), (0.2, 0.0)]
        self.paint("vegetation", self.project(Wall((x, z), (x + 1, z)).points(stem)), crown)

    def bush(self, x: float, z: float, width: float, height: float) -> None:
        """A bush that grows from the ground."""
        self.paint("vegetation", self.crown(x, z, 0.4 * height, width, 1.2 * height))

    def car(self, wall: Wall, outline: Pairs) -> None:
        """A parked car's ``outline`` (CAR_SIDE, CAR_END: length 1, metres high) stretched along ``wall``."""
        self.outline("car", wall, [(s * wall.length, h) for s, h in outline])

    def lamp(self, x: float, z: float, height: float, arm: float) -> None:
        """A street lamp whose ``arm`` reaches that many metres to the right (left if negative)."""
        plane, tip = Wall((x, z), (x + 1, z)), height + 0.5
        pole = [
            (-0.09, 0.0),
            (-0.07, height),
            (arm, tip),
            (arm, tip - 0.2),
            (0.07, height - 0.3),
            (0.09, 0.0),
        ]
        head = [
            (arm - 0.4, tip - 0.25),
            (arm - 0.25, tip + 0.15),
            (arm + 0.3, tip + 0.1),
            (arm + 0.35, tip - 0.3),
        ]
        self.paint("traffic-infrastructure", *(self.project(plane.points(shape)) for shape in (pole, head)))

    def sign(self, x: float, z: float, height: float, width: float, panel: float) -> None:
        """A traffic sign: a ``panel`` so many metres high on a pole."""
        plane, half = Wall((x, z), (x + 1, z)), width / 2
        pole = [(-0.06, 0.0), (-0.06, height), (0.06, height), (0.06, 0.0)]
        board = [(-half, height - panel), (-half, height), (half, height), (half, height - panel)]
        self.paint("traffic-infrastructure", *(self.project(plane.points(shape)) for shape in (pole, board)))


def curve(along: Sequence[float], heights: Sequence[float]) -> list[tuple[float, float]]:
    """An outline from its places along the ground and the heights there."""
    return list(zip(along, heights, strict=True))


CAR_SIDE = curve(
    [0, 0.01, 0.06, 0.16, 0.27, 0.4, 0.62, 0.76, 0.95, 1, 1, 0.88, 0.86, 0.76, 0.71, 0.3, 0.27, 0.17, 0.14],
    [0.35, 0.75, 0.9, 1, 1.35, 1.47, 1.45, 1.05, 0.9, 0.65, 0.3, 0.3, 0, 0, 0.2, 0.2, 0, 0, 0.25],
)
CAR_END = curve(
    [0.03, 0, 0.02, 0.12, 0.2, 0.35, 0.65, 0.8, 0.88, 0.98, 1, 0.97, 0.85, 0.82, 0.18, 0.15],
    [0, 0.35, 0.85, 1, 1.42, 1.5, 1.5, 1.42, 1, 0.85, 0.35, 0, 0, 0.2, 0.2, 0],
)
