"""Lattices in images are found where they are, with their periods."""

import sys

import numpy as np

from shared_files import REPOSITORY

sys.path.insert(0, str(REPOSITORY))
from benchmarks.spectrum import period, power_ratio, strongest

HEIGHT, WIDTH = 24, 32


def waves(down: int, across: int) -> np.ndarray:
    """One 24×32 image of so many waves down and across."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return 40 * np.cos(2 * np.pi * (down * y / HEIGHT + across * x / WIDTH))


def test_lattices_of_both_diagonals_are_found() -> None:
    photos = np.random.default_rng(0).normal(120, 20, (8, HEIGHT, WIDTH))
    images = photos + 60 + waves(6, 4) + 2 * waves(-3, 8)  # brighter, which is no lattice
    ratio = power_ratio(images, photos)
    assert ratio.shape == (HEIGHT, WIDTH // 2 + 1)
    first, second = strongest(ratio, 2)
    assert (first, second) == ((HEIGHT - 3, 8), (6, 4))
    assert [period(index, HEIGHT) for index in (first[0], second[0])] == ["8", "4"]
    assert [period(index, WIDTH) for index in (first[1], second[1])] == ["4", "8"]
    assert period(0, HEIGHT) == "∞"
    assert ratio[0, 0] == 0
    assert np.isfinite(ratio).all()
