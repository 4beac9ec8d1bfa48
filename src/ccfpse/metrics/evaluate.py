"""Evaluation of generated photos against real ones: measured in chunks, gathered into one report."""

import csv
import dataclasses
import hashlib
import json
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import rich.progress
import torch
from PIL import Image
from rich.console import Console

from ccfpse.features import cache_folder
from ccfpse.labels import LabelSpace
from ccfpse.metrics.extremes import sheet
from ccfpse.metrics.fid import UNBIASED_ENOUGH, frechet_distance
from ccfpse.metrics.gathered import PER_IMAGE, Gathered, number
from ccfpse.metrics.inputs import Generate, Pair, Pairs, Segmenter, pair_hash
from ccfpse.metrics.kid import kid
from ccfpse.metrics.measure import Instruments, Record, kept
from ccfpse.metrics.protocol import Protocol
from ccfpse.metrics.report import Report

CACHE_VERSION = 1  # raise it whenever what is measured of the same images by the same networks changes
CHUNK = 16  # pairs that are measured, cached and held in memory at a time
EXTREMES = 8  # worst and best images shown
FEWEST = 8  # real photos: KID of one half against the other needs four each


def evaluate(
    reference: Pairs,
    generate: Generate,
    *,
    label_space: LabelSpace,
    protocol: Protocol,
    name: str,
    source: str = "",
    segmenter: Segmenter | None = None,
    out: Path | None = None,
    cache: Path | None = None,
    weights: Path | None = None,
    device: str = "cpu",
    batch: int = CHUNK,
    progress: bool = True,
) -> Report:
    """Scores what `generate` makes for the layouts of `reference` against its photos.

    reference: real pairs at the protocol's size. name: how tables call the evaluated system. source: whatever
    identifies its images (a hash of the model file, `folder_identity`); with it a broken evaluation resumes
    from the cache, without it only the real photos' measurements are kept. segmenter: reads the layouts off
    the images; without one there is no layout fidelity. out: folder for report.json, images.csv and
    extremes.png. cache: folder of measurements (default: evaluations/ in the cache folder). weights: folder
    of the public weights. batch: images that a network sees at once, at most 16; changes no score.

    Raises ValueError for images or pairs of another shape than the protocol's, `MissingWeights` where the
    public weights are absent.
    """
    started = time.monotonic()
    check_enough(reference)
    if not 1 <= batch <= CHUNK:
        raise ValueError(f"batch is {batch}, expected 1 to {CHUNK}, the images that are measured at a time")
    protocol = dataclasses.replace(protocol, segmenter=segmenter.name if segmenter else "none")
    instruments = Instruments.load(weights, segmenter, label_space.classes, device)
    instruments = dataclasses.replace(instruments, batch=batch)
    networks = instruments.identity
    real, generated = (
        Gathered(len(reference), instruments.inception.dimension, label_space.classes, protocol)
        for _ in range(2)
    )
    folder = cache or cache_folder() / "evaluations"
    measured = _key(networks, str(CACHE_VERSION))
    run = _key(measured, source, json.dumps(dataclasses.asdict(protocol)))
    contents = []
    console = Console(stderr=True)
    with rich.progress.Progress(transient=True, console=console, disable=not progress) as bar:
        task = bar.add_task(f"evaluating {name}", total=len(reference))
        for start in range(0, len(reference), CHUNK):
            pairs = [reference.sample(index) for index in range(start, min(start + CHUNK, len(reference)))]
            for pair in pairs:
                _check(pair, protocol, label_space)
                contents.append(pair_hash(pair))
            content = _key(*contents[start:])

            def measure_real(pairs: Sequence[Pair] = pairs) -> Record:
                return instruments.real(pairs)

            def measure_generated(pairs: Sequence[Pair] = pairs) -> Record:
                images = []
                for pair in pairs:
                    images.append(_images(generate, pair, protocol))
                    bar.advance(task)
                return instruments.generated(pairs, images)

            real.add(start, kept(folder / f"real-{_key(content, measured)}.npz", measure_real))
            file = folder / f"generated-{_key(content, run)}.npz" if source else None
            generated.add(start, kept(file, measure_generated))
            bar.update(task, completed=start + len(pairs))

    report = Report(
        name=name,
        source=source,
        protocol=protocol,
        images=len(reference),
        data_hash=_key(*contents)[:16],
        scores=_distances(real, generated, protocol) | generated.perceptual() | generated.fidelity(),
        ceiling=real.fidelity(),
        floor=_floor(real, protocol),
        class_iou=_class_iou(generated, real, label_space),
        warnings=_warnings(len(reference), protocol),
        versions={"ccfpse": _version(), "torch": str(torch.__version__), "networks": networks},
        seconds=round(time.monotonic() - started, 1),
    )
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        report.save(out / "report.json")
        _write_images(out / "images.csv", reference.stems, generated)
        _draw_extremes(reference, generate, generated, protocol, label_space).save(out / "extremes.png")
    return report


def check_enough(reference: Pairs) -> None:
    """ValueError for fewer pairs than an evaluation can be made of."""
    if len(reference) < FEWEST:
        raise ValueError(
            f"an evaluation needs {FEWEST} real photos at least, got {len(reference)}; "
            "give a larger split or limit"
        )


def _check(pair: Pair, protocol: Protocol, label_space: LabelSpace) -> None:
    if pair.photo.shape != (*protocol.size, 3) or pair.labels.shape != protocol.size:
        raise ValueError(
            f"{pair.stem}: photo {pair.photo.shape} and labels {pair.labels.shape}, but the protocol compares"
            f" {protocol.size[0]}×{protocol.size[1]} (H×W); resize the data set to it"
        )
    if pair.labels.min() < 0 or pair.labels.max() > label_space.classes:
        raise ValueError(
            f"{pair.stem}: labels from {pair.labels.min()} to {pair.labels.max()}, expected 0 …"
            f" {label_space.classes} (the last is unlabelled), as `LabelSpace.to_index` gives them"
        )


def _images(generate: Generate, pair: Pair, protocol: Protocol) -> np.ndarray:
    """The images of one layout; the seed depends on its name, so that order and chunks do not matter."""
    seed = int(_key(str(protocol.seed), pair.stem)[:8], 16) >> 1
    images = generate(pair, protocol.styles, seed)
    expected = (protocol.styles, *protocol.size, 3)
    if images.shape != expected or images.dtype != np.uint8:
        raise ValueError(f"{pair.stem}: images are {images.dtype} {images.shape}, expected uint8 {expected}")
    return images


def _key(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _distances(real: Gathered, generated: Gathered, protocol: Protocol) -> dict[str, float | None]:
    estimate = kid(
        real.pool,
        generated.pool,
        subsets=protocol.kid_subsets,
        subset_size=protocol.kid_subset_size,
        seed=protocol.seed,
    )
    return {
        "fid": frechet_distance(real.moments, generated.moments),
        "kid": estimate.value,
        "kid_standard_error": estimate.standard_error,
    }


def _floor(real: Gathered, protocol: Protocol) -> dict[str, float | None]:
    """One random half of the real photos against the other: what a perfect generator would score, nearly."""
    first, second = real.halves
    pools = real.pool[real.pool_half == 0], real.pool[real.pool_half == 1]
    estimate = kid(
        *pools, subsets=protocol.kid_subsets, subset_size=protocol.kid_subset_size, seed=protocol.seed
    )
    return {
        "fid": frechet_distance(first, second),
        "kid": estimate.value,
        "kid_standard_error": estimate.standard_error,
        "images": float(min(first.count, second.count)),
    }


def _class_iou(
    generated: Gathered, real: Gathered, label_space: LabelSpace
) -> dict[str, tuple[float | None, float | None]]:
    both = zip(generated.confusion.class_iou, real.confusion.class_iou, strict=True)
    return {
        name: (number(made), number(true)) for name, (made, true) in zip(label_space.names, both, strict=True)
    }


def _warnings(images: int, protocol: Protocol) -> tuple[str, ...]:
    found = []
    if images < UNBIASED_ENOUGH:
        found.append(
            f"FID on {images} images (fewer than {UNBIASED_ENOUGH}) is biased upwards, more so the fewer"
            " they are: compare it only with FIDs on the same photos, and rank by KID, which has no such bias"
        )
    if images > protocol.kid_pool:
        found.append(f"KID is estimated on {protocol.kid_pool} of the {images} images")
    return tuple(found)


def _version() -> str:
    try:
        return version("ccfpse")
    except PackageNotFoundError:
        return "not installed"


def _write_images(path: Path, stems: Sequence[str], generated: Gathered) -> None:
    columns = [name for name in PER_IMAGE if not np.isnan(generated.per_image[name]).all()]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["stem", *columns])
        for index, stem in enumerate(stems):
            writer.writerow([stem, *(f"{generated.per_image[name][index]:.6g}" for name in columns)])


def _draw_extremes(
    reference: Pairs, generate: Generate, generated: Gathered, protocol: Protocol, label_space: LabelSpace
) -> Image.Image:
    """The worst and best images by their own mIoU, where none has one by LPIPS to the photo; made anew.

    Layouts without a labelled pixel have no mIoU: they are neither.
    """
    by_iou = not np.isnan(generated.per_image["mean_iou"]).all()
    scores = generated.per_image["mean_iou" if by_iou else "lpips_to_real"]
    order = np.argsort(scores if by_iou else -scores, kind="stable")
    order = order[~np.isnan(scores[order])]
    count = min(EXTREMES, max(len(order) // 2, 1))
    bands = []
    for title, chosen in (("Worst", order[:count]), ("Best", order[::-1][:count])):
        pairs = [reference.sample(int(index)) for index in chosen]
        layouts = [label_space.colorize(pair.labels) for pair in pairs]
        images = [_images(generate, pair, protocol)[0] for pair in pairs]
        listed = " ".join(f"{score:.2f}" for score in scores[chosen])
        heading = f"{title} by {'mIoU' if by_iou else 'LPIPS to real'} ({listed}): layout, generated, real"
        bands.append((heading, [layouts, images, [pair.photo for pair in pairs]]))
    return sheet(bands)
