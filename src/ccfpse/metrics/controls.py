"""Controls: images whose order under a sound metric is known beforehand, scored like a model's."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from ccfpse.metrics.evaluate import evaluate
from ccfpse.metrics.inputs import Generate, Pair, Pairs
from ccfpse.metrics.report import SCORES, Report, shown


def blurred(radius: float) -> Generate:
    """The real photo under a Gaussian blur of `radius` pixels: the layout stays, the look of a photo goes."""

    def generate(pair: Pair, count: int, seed: int) -> np.ndarray:
        photo = Image.fromarray(pair.photo).filter(ImageFilter.GaussianBlur(radius))
        return np.repeat(np.asarray(photo)[None], count, axis=0)

    return generate


def shuffled(generate: Generate, reference: Pairs, seed: int = 0) -> Generate:
    """The image of another layout of the set, never its own: the look stays, the layout goes."""
    order = np.random.default_rng(seed).permutation(len(reference))
    partner = dict(zip(order.tolist(), np.roll(order, 1).tolist(), strict=True))
    index = {stem: position for position, stem in enumerate(reference.stems)}

    def other(pair: Pair, count: int, seed: int) -> np.ndarray:
        return generate(reference.sample(partner[index[pair.stem]]), count, seed)

    return other


def photos_of(others: Pairs, reference: Pairs) -> Generate:
    """Real photos spread over another split, one for each layout: what a perfect generator would score."""
    if len(others) < len(reference):
        raise ValueError(f"{len(reference)} layouts need as many other photos, but there are {len(others)}")
    chosen = np.linspace(0, len(others) - 1, len(reference)).astype(int)
    index = dict(zip(reference.stems, chosen.tolist(), strict=True))

    def generate(pair: Pair, count: int, seed: int) -> np.ndarray:
        return np.repeat(others.sample(index[pair.stem]).photo[None], count, axis=0)

    return generate


def control_reports(
    reference: Pairs,
    generate: Generate,
    *,
    others: Pairs,
    name: str,
    source: str = "",
    blur_radius: float = 2.0,
    out: Path | None = None,
    **choices: Any,
) -> list[Report]:
    """Four evaluations: the model, other real photos, blurred real photos, the model on shuffled layouts.

    others: real pairs not in `reference` (the training split). choices: `evaluate`'s other arguments.
    Sound metrics give other real photos the least FID and KID, blurred ones far more, and the shuffled
    layouts the same FID and KID as the model but far less mIoU and accuracy. Each report goes to its own
    folder under `out`.
    """
    systems: list[tuple[str, str, str, Generate]] = [
        ("model", name, source, generate),
        ("other-photos", "other real photos", "", photos_of(others, reference)),
        (
            "blurred",
            f"blurred real photos (σ = {blur_radius:g})",
            f"blur {blur_radius:g}",
            blurred(blur_radius),
        ),
        (
            "shuffled",
            f"{name}, layouts shuffled",
            "",  # as of the other photos: the cache's names do not tell which layout an image was drawn from
            shuffled(generate, reference),
        ),
    ]
    return [
        evaluate(reference, make, name=title, source=origin, out=out and out / folder, **choices)
        for folder, title, origin, make in systems
    ]


def control_faults(reports: Sequence[Report]) -> list[str]:
    """One sentence for each expectation that `control_reports`' scores break; none for sound metrics."""
    model, others, blurs, elsewhere = (report.scores for report in reports)
    expected = [
        ("fid", others, blurs, "other real photos must have a lower FID than blurred ones"),
        ("kid", others, blurs, "other real photos must have a lower KID than blurred ones"),
        ("mean_iou", elsewhere, model, "shuffled layouts must have a lower mIoU than the model's own"),
        ("accuracy", elsewhere, model, "shuffled layouts must have a lower accuracy than the model's own"),
    ]
    faults = []
    for key, low, high, sentence in expected:
        less, more = low.get(key), high.get(key)
        if less is not None and more is not None and less >= more:
            faults.append(f"{sentence}: {less:.4g} and {more:.4g}")
    return faults


def control_table(reports: Sequence[Report]) -> str:
    """The scores of `control_reports` in Markdown, and below them what the real photos themselves allow.

    The last row is the floor of FID and KID (one half of the photos against the other) and the ceiling of
    layout fidelity (the segmenter on the photos).
    """
    floor, ceiling = reports[0].floor, reports[0].ceiling
    half = f"the real photos, {floor['images']:.0f} against {floor['images']:.0f}"
    rows = [*((report.name, report.scores) for report in reports), (half, ceiling | floor)]
    headings = ["", *(heading for _, heading, _, _ in SCORES)]
    cells = [
        [name, *(shown(scores.get(key), key, decimals) for key, _, decimals, _ in SCORES)]
        for name, scores in rows
    ]
    lines = [headings, ["---"] * len(headings), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
