"""Files in, files out: label PNGs and folders of them drawn by an engine."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.progress import track

from ccfpse.data.decode import decode_photo
from ccfpse.data.layout_file import read_layout
from ccfpse.data.pairing import collect
from ccfpse.data.transforms import parse_size
from ccfpse.engine import Engine
from ccfpse.pictures import grid

INSTANCES = "instances"  # what the folder of instance maps is called


def generate_files(
    engine: Engine,
    layouts: Sequence[Path],
    out: Path,
    *,
    count: int = 1,
    seed: int = 0,
    style: Path | None = None,
    instances: Path | None = None,
    size: str = "trained",
    overview: Path | None = None,
    console: Console | None = None,
) -> int:
    """Draws every layout and returns the number of pictures written.

    Args as in `ccfpse generate`. Raises ValueError naming the file, the value and the cure.
    """
    target = _size(size, engine)
    files = [file for path in layouts for file in _label_files(path)]
    stems = [file.stem for file in files]
    twice = next((stem for stem in stems if stems.count(stem) > 1), None)
    if twice is not None:
        raise ValueError(f"two layouts are called {twice!r} and would overwrite each other in {out}")
    reference = None
    if style is not None:
        if not style.is_file():
            raise ValueError(f"{style}: no such photo")
        reference = decode_photo(str(style), style.read_bytes())
    maps = _instance_maps(instances, files)
    console = console or Console(stderr=True)
    if maps and not engine.uses_instances:
        console.print(f"note: the model {engine.name!r} reads no instances, so --instances changes nothing")
    if not maps and engine.uses_instances and (near := _instances_near(layouts)):
        console.print(f"note: edges between objects are left out; --instances={near} draws them")
    pictures = {file: _pictures(out, file.stem, count) for file in files}
    written = [
        *(picture for many in pictures.values() for picture in many),
        *([overview] if overview else []),
    ]
    read = [*files, *([style] if style else []), *maps.values()]
    _keep(read, written)
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for file in track(files, description="drawing", console=console):
        _, labels, ids = read_layout(file, maps.get(file), target)
        try:
            photos = engine.generate(labels, instances=ids, style=reference, count=count, seed=seed)
        except ValueError as error:
            raise ValueError(
                f"{file}: {error} (model {engine.name!r}; --model draws with another)"
            ) from error
        for picture, photo in zip(pictures[file], photos, strict=True):
            Image.fromarray(photo).save(picture)
        if overview is not None:
            rows.append([engine.label_space.colorize(labels), *photos])
    if overview is not None:
        overview.parent.mkdir(parents=True, exist_ok=True)
        grid(rows).save(overview)
    return len(files) * count


def _pictures(out: Path, name: str, count: int) -> list[Path]:
    return [out / (f"{name}.png" if count == 1 else f"{name}-{index}.png") for index in range(count)]


def _keep(read: Sequence[Path], written: Sequence[Path]) -> None:
    """ValueError where a picture would take the place of a file that is read."""
    sources = {path.resolve() for path in read}
    for path in written:
        if path.resolve() in sources:
            raise ValueError(f"{path}: is read here and would be overwritten; give another --out")


def _label_files(path: Path) -> list[Path]:
    if path.is_dir():
        found = _pngs(path, "label map", without=INSTANCES)
        if not found:
            raise ValueError(f"{path}: no label PNGs in this folder")
        return [found[stem] for stem in sorted(found)]
    if not path.is_file():
        raise ValueError(f"{path}: no such file or folder")
    return [path]


def _instance_maps(folder: Path | None, files: Sequence[Path]) -> dict[Path, Path]:
    """The instance map of every layout, all of the same names; none without a folder."""
    if folder is None:
        return {}
    if not folder.is_dir():
        raise ValueError(f"{folder}: not a folder; give the one that holds the instance PNGs")
    found = _pngs(folder, "instance map")
    lacking = [file for file in files if file.stem not in found]
    if lacking:
        raise ValueError(
            f"{folder}: no instance map {lacking[0].stem}.png for {lacking[0]}"
            f"{f' and {len(lacking) - 1} more' * (len(lacking) > 1)}; add it, or leave --instances out"
        )
    return {file: found[file.stem] for file in files}


def _instances_near(layouts: Sequence[Path]) -> Path | None:
    """A folder of instance maps in that of the layouts, as the bundled ones have it, or beside it."""
    folders = dict.fromkeys(path if path.is_dir() else path.parent for path in layouts)
    near = (place / INSTANCES for folder in folders for place in (folder, folder.parent))
    return next((place for place in near if place.is_dir()), None)


def _pngs(folder: Path, kind: str, without: str | None = None) -> dict[str, Path]:
    """The PNGs under a folder by stem, found as those of a data set are."""
    files = collect(folder, ".", kind, (".png",), others=True, without=without)
    if files.faults:
        raise ValueError(f"{folder}: {files.faults[0]}")
    return {stem: folder / path for stem, path in files.by_stem.items()}


def _size(text: str, engine: Engine) -> tuple[int, int] | None:
    if text == "trained":
        return engine.trained_size
    if text == "layout":
        return None
    try:
        return parse_size(text)
    except ValueError as error:
        raise ValueError(f"{error}, or trained, or layout") from None
