"""The commands that score: evaluate and train-segmenter. Imports stand inside, as in `cli`."""

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter


def evaluate(
    *,
    model: str | None = None,
    generated: Path | None = None,
    compare: Annotated[list[Path], Parameter(consume_multiple=True, negative=())] = [],  # noqa: B006
    data: str | None = None,
    controls: Annotated[bool, Parameter(negative=())] = False,
    protocol: Literal["default", "paper"] = "default",
    split: str = "val",
    limit: int | None = None,
    segmenter: str = "own",
    size: str | None = None,
    resize: Literal["stretch", "cover"] | None = None,
    style: Literal["prior", "reference", "none"] | None = None,
    styles: int | None = None,
    seed: int = 0,
    ema: bool | None = None,
    ignore: Literal["labelled", "all"] = "labelled",
    weights: Path | None = None,
    device: str = "auto",
    dtype: str = "auto",
    batch: int = 16,
    out: Path = Path("evaluation"),
) -> None:
    """Score a model, or a folder of images, against real photos: FID, KID, LPIPS, mIoU, accuracy.

    Writes report.json (the scores with every choice of the protocol), images.csv (each image's own scores)
    and extremes.png (the worst and the best). Run again, a broken evaluation goes on from its cache.

    Args:
        model: bundled model, model file or run folder that draws the images.
        generated: instead of a model, a folder of images named like the photos: STEM.png, or STEM-0.png, ….
        compare: instead of both, reports of earlier evaluations, which are put side by side.
        data: the data set with the real photos; shards also by URL.
        controls: also score other real photos, blurred ones, and shuffled layouts; exit 1 where the scores of
            these do not order as they must.
        protocol: default (styles drawn from the prior, averaged weights) or paper (one image, styled as its
            photo, weights not averaged); the single choices below win over it.
        split: split that is evaluated on.
        limit: evaluate on so many photos, spread over the split.
        segmenter: reads layouts off the images: own (trained on the training split when it is first needed,
            some minutes on a CPU, then cached; see train-segmenter), none (no mIoU, no accuracy), a file that
            train-segmenter wrote, or a Hugging Face model by name or folder.
        size: height,width compared at; left out, the model's, or that of the first generated image.
        resize: stretch photos to the size, or cover it and cut; left out, as the model was trained.
        style: prior, reference (the encoder on the real photo), none; of a folder: how its images came about.
        styles: images per layout; the first is scored, LPIPS diversity compares all. Left out, 4, or as many
            as the folder has.
        seed: of the styles, of KID's subsets and of the halves of the real photos.
        ema: the generator's averaged weights or the others; left out, as the protocol says.
        ignore: the headline accuracy: of labelled pixels, or of all (the report has both).
        weights: folder with the public Inception and AlexNet weights; left out, found or downloaded.
        device: auto, cpu, cuda, ….
        dtype: auto, float32, bfloat16 or float16, for the model.
        batch: images that the measuring networks see at once, at most 16.
        out: folder that is written to.
    """
    if bool(model) + bool(generated) + bool(compare) != 1:
        raise ValueError("give one of --model (it draws), --generated (a folder) and --compare (reports)")
    if compare:
        from ccfpse.metrics import compare_reports

        show(compare_reports(compare))
        return
    if data is None:
        raise ValueError("give --data, the data set with the real photos")
    from ccfpse import evaluation
    from ccfpse.data import open_dataset
    from ccfpse.data.transforms import parse_size
    from ccfpse.engine import find_device
    from ccfpse.training.unaveraged import load_images

    system: evaluation.System
    if generated is not None:
        stems = evaluation.Spread(open_dataset(data, split), limit).stems
        system, place = evaluation.FolderImages(generated, stems), str(find_device(device))
    else:
        unaveraged = protocol == "paper" if ema is None else not ema
        system = load_images(str(model), unaveraged, device, dtype)
        place = str(system.engine.device)
    chosen = system.protocol(
        protocol,
        size=parse_size(size) if size else None,
        resize=resize,
        style=style,
        styles=styles,
        seed=seed,
        ema=ema,
        ignore=ignore,
    )
    reports = evaluation.run(
        system,
        data,
        chosen,
        split=split,
        limit=limit,
        segmenter=segmenter,
        controls=controls,
        weights=weights,
        device=place,
        batch=batch,
        out=out,
    )
    report = reports[0]
    if report.ceiling["mean_iou"] is not None:
        show(report.class_table())
    show(report.table())
    for warning in report.warnings:
        print(f"note: {warning}")
    if not controls:
        print(f"wrote {out}/report.json, images.csv and extremes.png")
        return
    from ccfpse.metrics import control_faults, control_table

    table = control_table(reports)
    (out / "controls.md").write_text(table, "utf-8")
    print(f"\n{table}\nwrote {out}/controls.md, and the reports into {out}'s folders")
    faults = control_faults(reports)
    print("\n".join(faults) or "the controls order as they must")
    sys.exit(1 if faults else 0)


def train_segmenter(
    data: str,
    /,
    *,
    size: str = "256,256",
    resize: Literal["stretch", "cover"] = "stretch",
    images: int = 16_000,
    out: Path | None = None,
    weights: Path | None = None,
    device: str = "auto",
) -> None:
    """Train the network that reads layouts off photos, for data sets that have no public one.

    It learns from the training split and is kept under a hash of that split, the size and the settings;
    `ccfpse evaluate` finds it there, or trains it when it is first needed. Printed is its score on the real
    val photos: the ceiling that generated ones are measured against.

    Args:
        data: the data set; shards also by URL.
        size: height,width that will be evaluated at: the model's.
        resize: as in evaluate.
        images: length of the training, in images seen. evaluate looks for the default length; a network of
            another length is given to it by its file.
        out: folder the network is kept in; left out, the cache.
        weights: folder with the public AlexNet weights; left out, found or downloaded.
        device: auto, cpu, cuda, ….
    """
    from ccfpse import evaluation
    from ccfpse.data.transforms import parse_size
    from ccfpse.engine import find_device
    from ccfpse.metrics import SegmenterTraining, cached_segmenter
    from ccfpse.metrics.segmenter import segmenter_file

    target = parse_size(size)
    train, space = evaluation.open_pairs(data, "train", target, resize)
    val, _ = evaluation.open_pairs(data, "val", target, resize)
    segmenter = cached_segmenter(
        train,
        space,
        SegmenterTraining(images=images),
        folder=out,
        device=str(find_device(device)),
        weights=weights,
    )
    score = evaluation.score_segmenter(segmenter, val, space.classes)
    show(f"On the {len(val)} real val photos:")
    show(score.table(space.names))
    print(f"kept as {segmenter_file(segmenter.name, out)}")


def show(thing: object) -> None:
    """Prints tables and text as wide as the terminal."""
    from rich.console import Console

    Console().print(thing)
