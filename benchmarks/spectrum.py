"""Contrast and spectrum of a model's images beside the photos: `python benchmarks/spectrum.py MODEL DATA`.

Prints, over the val split at the model's size with a style of its own for each layout, the deviation of grey
levels within an image, the deviation of the images' means, and the frequencies at which the images' power
exceeds the photos' most, as periods in pixels. A lattice shows as a short period with a large ratio.
"""

import sys

import numpy as np

from ccfpse.data import PairedTransform
from ccfpse.data.layouts import open_dataset
from ccfpse.engine import Engine


def power(images: np.ndarray) -> np.ndarray:
    """Mean power of N×H×W grey images at H×W frequencies."""
    spectra = np.fft.fft2(images - images.mean((1, 2), keepdims=True))
    return np.square(np.abs(spectra)).mean(0)


def period(index: int, length: int) -> str:
    """Pixels per wave; the second half of an axis holds the negative frequencies."""
    index = min(index, length - index)
    return f"{length / index:.3g}" if index else "∞"


def power_ratio(images: np.ndarray, photos: np.ndarray) -> np.ndarray:
    """Power of N×H×W images to that of photos at H×(W // 2 + 1) frequencies: all rows, for down right is not
    up right; the other columns mirror these. At [0, 0], where the means were taken out, it is 0.
    """
    half = images.shape[2] // 2 + 1
    ours, theirs = power(images)[:, :half], power(photos)[:, :half]
    ours[0, 0], theirs[0, 0] = 0, 1
    return ours / theirs


def strongest(ratio: np.ndarray, count: int = 5) -> list[tuple[int, int]]:
    """(row, column) of the largest ratios, the largest first."""
    order = np.argsort(ratio, axis=None)[::-1][:count]
    return [divmod(int(place), ratio.shape[1]) for place in order]


def main(model: str, data: str) -> None:
    engine = Engine.load(model)
    dataset = open_dataset(data, "val", PairedTransform(engine.trained_size))
    drawn, photos = [], []
    for index in range(len(dataset)):
        sample = dataset.sample(index)
        ignore = dataset.label_space.ignore
        labels = np.where(sample.labels == dataset.label_space.classes, ignore or 0, sample.labels)
        drawn.append(engine.generate(labels, instances=sample.instances, seed=index)[0].mean(-1))
        photos.append(sample.photo.mean(-1))
    ours, theirs = np.stack(drawn), np.stack(photos)
    for title, images in (("images", ours), ("photos", theirs)):
        within, means = images.std((1, 2)).mean(), images.mean((1, 2)).std()
        print(f"{title}: deviation within {within:.1f}, of the means {means:.1f} (of 255)")
    height, width = ours.shape[1:]
    ratio = power_ratio(ours, theirs)
    print(f"power, images to photos: median {np.median(ratio.ravel()[1:]):.2f}; largest")
    for down, across in strongest(ratio):
        print(f"  {ratio[down, across]:5.1f} at {period(down, height)} down, {period(across, width)} across")


if __name__ == "__main__":
    main(*sys.argv[1:])
