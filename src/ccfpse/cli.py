"""The commands: each parses, calls one function and prints. Imports stand inside, so that `--help` is
instant.
"""

import io
import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import cyclopts
from cyclopts import Parameter

from ccfpse import __version__, cli_compare, cli_evaluate

app = cyclopts.App(
    name="ccfpse",
    help="Turn label maps into photos: train, generate, paint.",
    version=__version__,
    sort_key=0,
    suppress_keyboard_interrupt=False,  # `main` says what was interrupted
)
data_app = cyclopts.App(name="data", help="Check and convert data sets.")
app.command(data_app)
app.command(cli_evaluate.evaluate)
app.command(cli_evaluate.train_segmenter)
app.command(cli_compare.compare)


@app.command
def demo(*, model: str = "facades", out: Path = Path("demo"), styles: int = 4, seed: int = 0) -> None:
    """Draw the bundled layouts with the bundled model: a grid PNG and a page.

    Args:
        model: bundled model, model file or run folder.
        out: folder that is written to.
        styles: pictures per layout.
        seed: of the styles.
    """
    from ccfpse import demo as demonstration
    from ccfpse.engine import Engine

    page = demonstration.run(Engine.load(model), out, styles=styles, seed=seed)
    print(f"wrote {out / 'grid.png'} and {page}")


@app.command
def generate(
    layouts: Annotated[list[Path], Parameter(negative=())],
    /,
    *,
    model: str = "facades",
    count: int = 1,
    seed: int = 0,
    style: Path | None = None,
    instances: Path | None = None,
    size: str = "trained",
    overview: Path | None = None,
    device: str = "auto",
    dtype: str = "auto",
    out: Path = Path("generated"),
) -> None:
    """Draw photos from label maps.

    Args:
        layouts: label PNGs (class ids), or folders of them.
        model: bundled model, model file or run folder.
        count: photos per layout, each in a style of its own.
        seed: of the styles; every layout gets the same ones.
        style: photo whose style all pictures take.
        instances: folder of instance PNGs of the layouts' names.
        size: "trained" resizes layouts to the model's size, "layout" keeps theirs, or height,width.
        overview: PNG with a row for each layout: its colours, then its photos.
        device: auto, cpu, cuda, ….
        dtype: auto, float32, bfloat16 or float16.
        out: folder that is written to: NAME.png, or NAME-0.png, NAME-1.png, … for several.
    """
    from ccfpse.engine import Engine
    from ccfpse.generate import generate_files

    written = generate_files(
        Engine.load(model, device=device, dtype=dtype),
        layouts,
        out,
        count=count,
        seed=seed,
        style=style,
        instances=instances,
        size=size,
        overview=overview,
    )
    print(f"wrote {written} picture{'s' * (written != 1)} to {out}")


@app.command
def train(
    data: str,
    /,
    *,
    out: Path,
    preset: str | None = None,
    config: Path | None = None,
    overrides: Annotated[list[str], Parameter(name="--set", negative=())] = [],  # noqa: B006
) -> None:
    """Train a model; run the same command again to go on exactly where it stopped.

    Several GPUs: torchrun --nproc-per-node 2 -m ccfpse train DATA --out RUN. Several hosts: torchrun's own
    flags, and a folder that all hosts share.

    Any field of the configuration is set by its name: --images=20000 --generator.width=32. All of them, with
    their defaults and meanings, are listed below.

    Args:
        data: a data set folder; or COCO JSON, COCO-Stuff, ADE20K, Cityscapes or shards as they come, shards
            also by URL.
        out: the run's folder.
        preset: facades (the default for a new run), small, small128, coco, ade20k, cityscapes, spade_coco,
            spade_ade20k, spade_cityscapes or pix2pix.
        config: a YAML or JSON file of fields, laid over the preset.
        overrides: what --FIELD=VALUE is short for: --set FIELD=VALUE.
    """
    from ccfpse.presets import resolve
    from ccfpse.settings import assignments
    from ccfpse.training.loop import train as run

    resolved = resolve(preset, config, assignments(overrides), out)
    model = run(data, out, resolved)
    if os.environ.get("RANK", "0") == "0":  # of several processes one speaks
        print(f"wrote {model}; draw with it: ccfpse generate LAYOUT.png --model {out}")


@app.command
def convert_released(
    source: Path,
    /,
    *,
    classes: Path | None = None,
    out: Path,
    unknown: bool = True,
    instances: bool = True,
    upsamplings: int | None = None,
) -> None:
    """Turn released weights (*_net_G.pth and, if there, *_net_E.pth) of CC-FPSE, SPADE or pix2pixHD's global
    generator into a model file.

    Args:
        source: folder that holds the files.
        classes: classes.json that names the label space they were trained on; left out for weights of
            COCO-Stuff, ADE20K and Cityscapes, which are known by their number of channels.
        out: the model file.
        unknown: with classes: whether the label space has the extra unknown channel.
        instances: with classes: whether the model reads instance edges.
        upsamplings: 5 (standard) or 6 (deep) for SPADE, whose weights do not tell.
    """
    from ccfpse import legacy
    from ccfpse.checkpoint import Model
    from ccfpse.data.layouts import standard_space
    from ccfpse.labels import LabelSpace

    told: dict[str, Any] = {"upsamplings": upsamplings}
    if classes is not None:
        space = LabelSpace.load(classes)
        told |= {"classes": space.classes, "unknown": unknown, "instances": instances}
    generator, encoder, _, info = legacy.load(source, **told)
    if classes is None:
        known = standard_space(generator.config.classes, generator.config.unknown)
        if known is None:
            raise ValueError(
                f"{source}: {generator.config.classes} channels are those of no published label space; "
                "name the classes with --classes"
            )
        space = known
    Model(generator, encoder, space, {"released_files": info["files"], "averaged": False}).save(out)
    print(f"wrote {out}; ignored {info['dead_tensors_ignored']} tensors that the released code never uses")


@app.command
def pack(model: Path, /, *, out: Path, discriminator: bool = False) -> None:
    """Store a model's weights as float16, half the size.

    Args:
        model: a model file or run folder.
        out: the smaller file.
        discriminator: keep the discriminator, with which `train --start_from` begins.
    """
    from ccfpse.checkpoint import Model
    from ccfpse.model_files import find_model

    packed = Model.load(find_model(model))
    if not discriminator:
        packed.discriminator = {}
    packed.save(out, half=True)
    print(f"wrote {out}, {out.stat().st_size / 1e6:.1f} MB")


@app.command
def studio(
    *,
    model: Annotated[list[str], Parameter(negative=())] = [],  # noqa: B006
    host: str = "127.0.0.1",
    port: int = 7860,
    token: str | None = None,
    insecure: bool = False,
    allow_host: Annotated[list[str], Parameter(negative=())] = [],  # noqa: B006
    device: str = "auto",
    dtype: str = "auto",
) -> None:
    """Open the painter: a web page and its HTTP API on this machine.

    Args:
        model: bundled models, model files or run folders (repeatable); none: all bundled ones.
        host: address to listen on.
        port: port to listen on; 0 takes a free one.
        token: asked of every request; needed to listen beyond this machine.
        insecure: listen beyond this machine without a token.
        allow_host: name by which browsers reach it through a reverse proxy (repeatable).
        device: auto, cpu, cuda, ….
        dtype: auto, float32, bfloat16 or float16.
    """
    from ccfpse.server import launch

    launch.run(
        model,
        host=host,
        port=port,
        token=token,
        insecure=insecure,
        allowed_hosts=allow_host,
        device=device,
        dtype=dtype,
    )


@data_app.command
def check(
    data: str, /, *, contact_sheet: Path = Path("contact-sheet.png"), workers: int | None = None
) -> None:
    """Validate a data set: every fault with its file and cure, class shares, a contact sheet;
    exit 1 on faults.

    Args:
        data: the data set; shards also by URL.
        contact_sheet: PNG that is written.
        workers: threads that decode; left out, one per core.
    """
    from ccfpse.data.check import check_dataset

    if contact_sheet.suffix.lower() != ".png":
        raise ValueError(f"{contact_sheet}: the contact sheet is a PNG; give a name that ends so")
    contact_sheet.parent.mkdir(parents=True, exist_ok=True)
    report = check_dataset(data, workers=workers, progress=True)
    _print_report(report)
    report.contact_sheet().save(contact_sheet)
    print(f"wrote {contact_sheet}")
    sys.exit(0 if report.sound else 1)


@data_app.command
def convert(
    kind: Literal["coco-json", "coco-stuff", "ade20k", "cityscapes", "palette", "remap"],
    source: Path,
    destination: Path,
    /,
    *,
    split: Annotated[list[str], Parameter(negative=())] = [],  # noqa: B006
    images: Path | None = None,
    classes: Path | None = None,
    nearest: bool | None = None,
    ids: str | None = None,
    link: bool = False,
    overwrite: bool = False,
    workers: int | None = None,
) -> None:
    """Turn a data set of another layout into a data set folder; exit 1 where samples had to be left out.

    Args:
        kind: layout of the source.
        source: the data set.
        destination: the folder that is written.
        split: only these splits.
        images: coco-json: folder of the photos.
        classes: palette, remap: classes.json.
        nearest: palette: snap colours that are off the palette to the nearest.
        ids: remap: e.g. "0:255, 1-150:0-149".
        link: hard-link photos instead of copying them.
        overwrite: remove the samples of these splits that are there already, and begin anew.
        workers: threads; left out, one per core.
    """
    from ccfpse.data.convert import convert as run

    given = {"images": images, "classes": classes, "snap": nearest, "ids": ids}
    options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    result = run(
        kind,
        source,
        destination,
        splits=split or None,
        link=link,
        overwrite=overwrite,
        workers=workers,
        progress=True,
        **options,
    )
    _print_report(result)
    sys.exit(0 if result.sound else 1)


@data_app.command
def shard(source: str, destination: Path, /, *, megabytes: int = 256, overwrite: bool = False) -> None:
    """Pack a data set into tar shards that can be streamed and trained on as they are.

    Args:
        source: the data set.
        destination: the folder that is written.
        megabytes: size of a shard.
        overwrite: replace shards that are there already.
    """
    from ccfpse.data.shard_writer import write_shards

    result = write_shards(source, destination, shard_megabytes=megabytes, overwrite=overwrite, progress=True)
    _print_report(result)
    sys.exit(0 if result.sound else 1)


def _print(thing: object, *, soft_wrap: bool = False) -> None:
    from rich.console import Console

    Console().print(thing, soft_wrap=soft_wrap)


def _print_report(report: object) -> None:
    """With a line for each fault, however long: reports go into files, too."""
    _print(report, soft_wrap=True)


def _as_overrides(arguments: list[str]) -> list[str]:
    """`train --FIELD=VALUE` and `--FIELD VALUE` written as `--set FIELD=VALUE`,
    for every name that is no option.
    """
    own = {"--out", "--preset", "--config", "--set", "--help", "-h", "--version"}
    rewritten: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        name, equals, value = argument.partition("=")
        if not name.startswith("--") or name in own:
            rewritten.append(argument)
            continue
        if not equals:
            value = next(rest, "")
        rewritten += ["--set", f"{name[2:].replace('-', '_')}={value}"]
    return rewritten


def main() -> None:
    """The entry point: one line on stderr and exit status 2 for every error that a user can mend."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["train"]:
        arguments = ["train", *_as_overrides(arguments[1:])]
    if isinstance(sys.stdout, io.TextIOWrapper):  # file names need not be text
        sys.stdout.reconfigure(errors="backslashreplace")
    wants_fields = arguments[:1] == ["train"] and not {"--help", "-h"}.isdisjoint(arguments)
    try:
        try:
            app(arguments, exit_on_error=False, print_error=False)
        finally:  # cyclopts leaves by SystemExit after its help
            if wants_fields:
                from ccfpse.presets import describe_fields

                _print(describe_fields())
    except KeyboardInterrupt as stop:
        print(f"ccfpse: {str(stop) or 'interrupted'}", file=sys.stderr)
        sys.exit(130)
    except (cyclopts.CycloptsError, ValueError, OSError, ImportError) as error:
        print(f"ccfpse: {_sentence(error)}", file=sys.stderr)
        sys.exit(2)


def _sentence(error: Exception) -> str:
    """An error in words: the system's own name the file first."""
    if isinstance(error, FileExistsError) and error.filename:
        return f"{error.filename}: is a file, where a folder is needed"
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror[0].lower()}{error.strerror[1:]}"
    return str(error) or type(error).__name__
