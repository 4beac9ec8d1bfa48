"""Draws the bundled facade layouts; `python examples/draw_layouts.py [FOLDER]` always gives the same pixels.

A scene is a short function: it sets up a camera that looks up at a house, as a person with a phone does, and
places walls, windows, trees and cars in metres; what comes later covers what came before. Each scene becomes
STEM.png (8-bit palette, class ids) and instances/STEM.png (16-bit, an id per object, 0 = sky or unlabelled).
"""

import itertools
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from facade_canvas import BUNDLED, CAR_END, CAR_SIDE, CLASSES, Canvas, Wall, curve
from PIL import Image


def every(first: float, step: float, count: int) -> list[float]:
    """``count`` places from ``first``, ``step`` metres apart."""
    return [first + step * i for i in range(count)]


def apartment_block() -> Canvas:
    """A block of flats seen from the front: two columns of balconies, a hedge and a strip of street."""
    c = Canvas(1, pitch=21, roll=1.5)
    c.ground("street", 2, 60)
    wall = Wall((-11.5, 14.5), (11, 13))
    roof = [(0.0, 15.9), (9.2, 15.9), (9.2, 17.0), (13.4, 17.0), (13.4, 15.9), (22.5, 15.9)]
    c.outline("facade", wall, [(0.0, 0.0), *roof, (22.5, 0.0)])
    storeys = every(1.6, 2.9, 5)
    c.rows("window", wall, [0.9, 2.8, 10.0, 11.6, 18.5, 20.4], storeys, (1.15, 1.5))
    for left in (5.2, 14.1):
        c.rows("window", wall, [left, left + 2.0], storeys, (1.5, 1.6))
        c.boxes("balcony", wall, [left - 0.4], every(3.8, 2.9, 4), (4.2, 0.95, 0.8))
    c.hedge(Wall((-13, 11.8), (-0.9, 11.6)), 1.4)
    c.hedge(Wall((0.9, 11.6), (13, 11.0)), 1.3)
    c.tree(-6.4, 10.5, 8.2, 4.6, 2.4)
    c.bush(5.4, 10.8, 2.6, 2.2)
    return c


def balcony_bands() -> Canvas:
    """Long bands of balconies in perspective, a car close to the camera and a lamp behind it."""
    c = Canvas(2, pitch=20, roll=-2)
    c.ground("street", 2, 90)
    wall, end = Wall((-3.5, 10.5), (15, 21)), Wall((-10.5, 15.5), (-3.5, 10.5))
    for face in (wall, end):
        c.plain("facade", face, 13.9)
    c.outline("facade", wall, [(1.0, 13.5), (1.2, 14.8), (20.0, 14.8), (20.2, 13.5)], out=-1.0)
    c.rows("window", end, [1.4, 4.0, 6.4], every(1.7, 2.9, 4), (1.15, 1.5))
    c.rows("window", wall, every(1.0, 3.2, 7), every(1.7, 2.9, 4), (2.0, 1.5))
    c.boxes("balcony", wall, [3.6, 13.4], every(3.9, 2.9, 4), (8.2, 0.9, 0.9))
    c.hedge(Wall((-8, 10.5), (-2.5, 9.4)), 1.5, ragged=0.25)
    c.hedge(Wall((-2.5, 9.4), (12, 16.5)), 1.3, ragged=0.25)
    c.bush(6.2, 12.5, 3.4, 2.8)
    c.tree(-8.2, 10.8, 9.6, 4.6, 1.4)
    c.lamp(2.4, 8.8, 6.4, 1.1)
    c.car(Wall((-1.4, 6.4), (2.7, 7.4)), CAR_SIDE)
    return c


def close_facade() -> Canvas:
    """Four storeys that fill the picture: tall windows, slim balconies, a hedge and the roof of a car."""
    c = Canvas(11, pitch=23, roll=3)
    c.ground("vegetation", 2, 12)
    wall = Wall((-12, 10.2), (9, 13.5))
    c.plain("facade", wall, 22)
    storeys = every(2.2, 3.2, 5)
    c.rows("window", wall, [1.4, 4.4, 13.2, 16.4, 19.0], storeys, (1.4, 1.8))
    c.rows("window", wall, [8.4, 10.0], storeys, (1.1, 2.2))
    c.boxes("balcony", wall, [7.8], every(4.7, 3.2, 4), (4.0, 0.9, 0.9))
    c.hedge(Wall((-9, 8.8), (8, 10.4)), 1.7, ragged=0.2)
    c.bush(3.8, 9.8, 2.4, 3.0)
    c.car(Wall((-3.2, 7.6), (0.8, 7.8)), CAR_SIDE)
    return c


def corner_shops() -> Canvas:
    """A rounded corner house with shops on the ground floor, cars at the kerb and a lamp."""
    c = Canvas(3, pitch=19, roll=-1)
    c.ground("street", 2, 90)
    corners = [(-17.0, 24.0), (-5.5, 16.4), (0.5, 14.6), (5.8, 15.8), (17.0, 24.0)]
    walls = [Wall(start, end) for start, end in itertools.pairwise(corners)]
    for name, height in (("facade", 15.6), ("shop", 3.6)):
        for wall in walls:
            c.plain(name, wall, height)
    for wall in walls:
        pairs = round(wall.length / 3.3)
        lefts = every(0.75, wall.length / pairs, pairs)
        c.boxes("facade", wall, [left + 0.1 for left in lefts], [15.2], (1.4, 1.4, 0.1))
        c.rows("window", wall, [left + 0.3 for left in lefts], [15.3], (0.9, 0.9))
        c.rows("window", wall, lefts, every(4.7, 2.75, 4), (1.4, 1.55))
        if wall.length < 7:
            c.boxes("balcony", wall, [0.4], every(6.9, 2.75, 3), (wall.length - 0.9, 0.9, 0.7))
    c.tree(-7.6, 12.2, 6.8, 3.4, 2.4)
    c.car(Wall((-6.6, 10.6), (-3.2, 9.4)), CAR_SIDE)
    c.car(Wall((5.0, 10.4), (8.2, 12.6)), CAR_SIDE)
    c.lamp(4.0, 10.0, 7.4, -1.2)
    c.sign(-1.4, 11.0, 2.9, 0.7, 0.9)
    return c


def gable_house() -> Canvas:
    """An old house, gable to the street, with a hedge, a garden fence and a car."""
    c = Canvas(4, pitch=20.5, roll=-2, focal=0.88)
    c.ground("street", 2, 60)
    side, gable = Wall((4.2, 12.0), (10.5, 19)), Wall((-6.8, 14.2), (4.2, 12.0))
    c.outline("facade", side, [(0.0, 0.0), (0.0, 9.6), (1.5, 13.2), (9.8, 13.2), (9.5, 9.4), (9.4, 0.0)])
    c.rows("window", side, [1.4, 4.2, 7.0], [1.6, 4.5, 7.2], (1.0, 1.5))
    width = gable.length
    eaves = [
        (0.0, 0.0),
        (0.0, 9.6),
        (-0.7, 9.2),
        (-0.6, 9.8),
        (width / 2, 15.9),
        (width + 0.6, 9.8),
        (width, 9.6),
    ]
    c.outline("facade", gable, [*eaves, (width, 0.0)])
    c.rows("window", gable, [1.4, 5.0, 8.6], [1.3, 4.3, 7.2], (1.15, 1.6))
    c.rows("window", gable, [3.7, 6.3], [10.3], (1.0, 1.4))
    c.boxes("balcony", gable, [4.3], [6.5], (2.5, 0.9, 0.9))
    c.tree(-8.2, 11.8, 10.5, 5.4, 1.5)
    c.bush(-4.4, 10.6, 2.8, 2.6)
    c.hedge(Wall((-9, 10.6), (1.2, 9.8)), 1.6, ragged=0.25)
    c.plain("fence", Wall((-9, 9.8), (1.2, 9.2)), 0.9)
    c.hedge(Wall((5.6, 11.6), (11, 13.2)), 1.4, ragged=0.25)
    c.car(Wall((1.9, 9.2), (5.8, 10.0)), CAR_SIDE)
    return c


def garden_villa() -> Canvas:
    """A villa with arched windows and a curved gable behind a stone fence and shrubs."""
    c = Canvas(5, pitch=20.5, roll=2, focal=0.9)
    c.ground("street", 2, 60)
    wall = Wall((-8.2, 13.0), (7.4, 13.8))
    roof = curve(
        [0, 0.5, 5.2, 5.4, 6.0, 6.6, 8.0, 9.4, 10.0, 10.6, 10.8, 15.1, 15.6],
        [8.8, 11, 11, 12, 12.2, 13.4, 14.3, 13.4, 12.2, 12, 11, 11, 8.8],
    )
    c.outline("facade", wall, [(0.0, 0.0), *roof, (15.6, 0.0)])
    c.boxes("facade", wall, [2.0, 12.8], [10.8], (0.8, 1.7, 0.3))
    c.rows("window", wall, [1.5, 3.5, 11.1, 13.1], [1.9, 5.4], (1.1, 1.8), arch=0.3)
    c.rows("window", wall, [6.2, 7.6, 9.0], [5.4], (0.9, 1.9), arch=0.3)
    c.rows("window", wall, [7.3], [9.9], (1.5, 1.5), arch=0.4)
    c.rows("window", wall, [2.5, 12.3], [9.1], (0.9, 1.0))
    c.boxes("balcony", wall, [5.9], [4.3], (4.3, 0.9, 1.1))
    c.rows("window", wall, [7.3], [0.5], (1.5, 2.4))
    c.tree(7.4, 11.5, 11.0, 5.2, 1.8)
    for x, width, height in ((-6.4, 4.0, 3.2), (-2.9, 2.4, 2.0), (3.4, 3.4, 2.6), (6.6, 3.4, 2.6)):
        c.bush(x, 10.6, width, height)
    c.plain("fence", Wall((-10, 9.8), (-0.9, 9.6)), 1.2)
    c.plain("fence", Wall((0.9, 9.6), (10, 9.4)), 1.2)
    c.boxes("non-building-infrastructure", Wall((-3.6, 9.5), (-2.6, 9.5)), [0.0], [0.0], (0.8, 1.2, 0.6))
    return c


def long_school() -> Canvas:
    """A modern school: bands of windows, slim trees on a lawn, a bicycle shelter and a traffic sign."""
    c = Canvas(6, pitch=16, roll=0.5)
    c.ground("street", 2, 90)
    c.ground("vegetation", 9.8, 20, left=-30, right=30)
    wall = Wall((-14.5, 15.5), (12, 18.5))
    c.plain("facade", wall, 13.0)
    c.rows("window", wall, every(0.6, 2.65, 10), [1.3, 5.2, 9.1], (1.95, 2.1))
    c.boxes("non-building-infrastructure", Wall((4.2, 14.2), (10, 14.6)), [0.0], [0.0], (5.8, 2.2, 1.2))
    c.boxes("unlabelled", Wall((1.4, 13.4), (3.6, 13.4)), [0.0], [0.0], (2.0, 0.8, 0.3))
    for x, z, height in ((-7.8, 13, 6.3), (-3.4, 13, 5.8), (2.4, 13.6, 6.6)):
        c.tree(x, z, height, 2.0, 1.0, top=0.6)
    c.tree(11.0, 15.5, 9.5, 5.5, 1.5)
    c.plain("fence", Wall((-14, 10.6), (0.6, 10.6)), 0.9)
    c.sign(3.2, 8.2, 2.9, 0.8, 1.0)
    c.car(Wall((-6.2, 8.8), (-2.2, 8.7)), CAR_SIDE)
    return c


def night_cafe() -> Canvas:
    """A cafe with its awning under three storeys of an old town house."""
    c = Canvas(7, pitch=22, roll=-1.5)
    c.ground("street", 2, 60)
    wall, side = Wall((-9.5, 13), (5.0, 11.2)), Wall((5.0, 11.2), (8.6, 19))
    for face in (wall, side):
        c.plain("facade", face, 15.0)
    c.boxes("facade", wall, [2.6, 8.2], [14.8], (1.9, 1.7, 0.2))
    c.rows("window", wall, [3.0, 8.6], [15.0], (1.1, 1.2))
    c.rows("window", wall, every(1.3, 2.7, 5), [5.0, 8.3, 11.6], (1.15, 1.8), arch=0.12)
    c.rows("window", side, [1.6, 4.4], [5.0, 8.3, 11.6], (1.1, 1.8))
    c.boxes("balcony", wall, [6.0], [7.4, 10.7], (2.8, 0.9, 0.8))
    c.rows("shop", wall, [2.0], [0.0], (9.6, 3.5))
    c.boxes("shop", wall, [2.2], [3.1], (9.2, 0.7, 1.0))
    c.rows("window", wall, [12.4], [0.2], (1.2, 2.6), arch=0.2)
    c.plain("fence", Wall((-3.4, 10.2), (2.2, 9.8)), 0.9)
    c.sign(3.8, 9.2, 3.0, 0.8, 0.8)
    c.car(Wall((-7.6, 10.4), (-3.9, 9.6)), CAR_SIDE)
    return c


def row_houses() -> Canvas:
    """A long row of houses with dormers in steep perspective, gardens and a fence before it."""
    c = Canvas(8, pitch=17, roll=1)
    c.ground("street", 2, 90)
    row = Wall((-8.2, 9), (17, 26))
    c.plain("facade", row, 11.0)
    for left in every(1.2, 5.6, 6):
        c.boxes("facade", row, [left + 0.5], [10.4], (2.0, 1.9, 0.2))
        c.rows("window", row, [left + 0.9], [10.7], (1.2, 1.2))
        c.rows("window", row, [left, left + 2.4], [1.4, 4.4, 7.4], (1.15, 1.6))
    for left in every(3.4, 11.2, 3):
        c.boxes("balcony", row, [left], [6.4], (3.0, 0.9, 0.9))
    for x, z, width, height in (
        (-2.6, 10.2, 2.6, 3.0),
        (2.2, 13.6, 2.8, 2.6),
        (6.0, 16.5, 3.4, 2.8),
        (9.6, 19, 4, 3),
    ):
        c.bush(x, z, width, height)
    c.tree(9.0, 18.4, 8.6, 5.2, 2.2)
    c.hedge(Wall((-6.5, 7.6), (12, 20.4)), 1.5, ragged=0.2)
    c.plain("fence", Wall((-6.2, 7.0), (12.4, 19.8)), 0.9)
    return c


def street_trees() -> Canvas:
    """A street of flats behind trees, one of them close, with a low wall and parked cars."""
    c = Canvas(9, pitch=19, roll=-1.5)
    c.ground("street", 2, 90)
    front = Wall((-13, 17), (9, 14.5))
    c.plain("facade", front, 13.6)
    c.boxes("facade", front, [2.4, 8.2, 15.0], [13.3], (2.4, 1.7, 0.2))
    c.rows("window", front, [2.9, 8.7, 15.5], [13.6], (1.3, 1.1))
    c.rows("window", front, every(1.0, 2.7, 8), every(1.6, 3.0, 4), (1.2, 1.7))
    c.boxes("balcony", front, [11.4], [3.7, 6.7, 9.7], (4.3, 0.95, 0.9))
    c.plain("facade", Wall((9.3, 17.5), (16, 21)), 11.0)
    c.rows("window", Wall((9.3, 17.5), (16, 21)), every(0.8, 2.4, 3), every(1.6, 3.0, 3), (1.2, 1.6))
    c.plain("fence", Wall((-14, 13.2), (10, 11.8)), 1.1)
    c.tree(7.0, 12.0, 7.8, 4.4, 2.2, top=0.4)
    c.tree(-3.6, 10.4, 9.4, 5.8, 3.2)
    c.car(Wall((-7.6, 9.6), (-3.8, 9.2)), CAR_SIDE)
    c.car(Wall((1.8, 8.6), (5.6, 8.2)), CAR_SIDE)
    return c


def tower_block() -> Canvas:
    """A tower of flats above shrubs, seen over its corner, with a car park before it."""
    c = Canvas(10, pitch=26, roll=1.5, focal=0.75)
    c.ground("street", 2, 90)
    c.plain("facade", Wall((9, 38), (30, 33)), 12.0)
    c.rows("window", Wall((9, 38), (30, 33)), every(2.0, 2.6, 7), every(1.8, 2.9, 3), (1.6, 1.5))
    side, front = Wall((-14.5, 27), (-6.5, 19.5)), Wall((-6.5, 19.5), (7.5, 22.5))
    for wall in (side, front):
        c.plain("facade", wall, 29.5)
    c.rows("window", side, [3.0, 7.4], every(2.4, 2.9, 9), (1.5, 1.5))
    c.rows("window", front, [1.0, 3.4, 12.2], every(2.2, 2.9, 9), (1.4, 1.6))
    c.rows("window", front, [6.4], every(2.2, 2.9, 9), (4.0, 1.7))
    c.boxes("balcony", front, [6.0], every(4.5, 2.9, 9), (4.8, 0.9, 0.9))
    c.tree(-10.8, 16, 9.5, 6.5, 1.0)
    c.hedge(Wall((-14, 15), (5.0, 15)), 2.0, ragged=0.4)
    c.bush(8.4, 16, 6, 4.2)
    c.car(Wall((-4.4, 11.6), (-0.4, 11.9)), CAR_SIDE)
    c.car(Wall((4.2, 11.6), (6.1, 11.6)), CAR_END)
    return c


SCENES: dict[str, Callable[[], Canvas]] = {
    scene.__name__.replace("_", "-"): scene
    for scene in (
        *(apartment_block, balcony_bands, close_facade, corner_shops, gable_house, garden_villa, long_school),
        *(night_cafe, row_houses, street_trees, tower_block),
    )
}


def main(folder: Path) -> None:
    """Draws every scene into ``folder`` and its ``instances``."""
    palette = np.zeros((256, 3), dtype=np.uint8)
    palette[: len(CLASSES["colors"])] = CLASSES["colors"]
    (folder / "instances").mkdir(parents=True, exist_ok=True)
    for stem, scene in SCENES.items():
        canvas = scene()
        labels = Image.fromarray(canvas.labels)
        labels.putpalette(palette.tobytes())  # makes it mode P
        labels.save(folder / f"{stem}.png", optimize=True)
        seen = np.unique(np.append(canvas.instances, 0))
        instances = np.searchsorted(seen, canvas.instances).astype(np.uint16)
        Image.fromarray(instances).save(folder / "instances" / f"{stem}.png", optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else BUNDLED / "layouts")
