"""Files in, files out: label PNGs and folders of them drawn by an engine."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.progress import track

from ccfpse.data.decode import decode_photo
from ccfpse.data.layout_file import read_layout
from ccfpse.data.transforms import parse_size
from ccfpse.engine import Engine
from ccfpse.pictures import grid


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
    if instances is not None and not instances.is_dir():
        raise ValueError(f"{instances}: not a folder; give the one that holds the instance PNGs")
    pictures = {file: _pictures(out, file.stem, count) for file in files}
    written = [
        *(picture for many in pictures.values() for picture in many),
        *([overview] if overview else []),
    ]
    read = [*files, *([style] if style else []), *(instances.iterdir() if instances else [])]
    _keep(read, written)
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for file in track(files, description="drawing", console=console or Console(stderr=True)):
        _, labels, ids = read_layout(file, instances, target)
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
        found = sorted(file for file in path.iterdir() if file.suffix.lower() == ".png")
        if not found:
            raise ValueError(f"{path}: no label PNGs in this folder")
        return found
    if not path.is_file():
        raise ValueError(f"{path}: no such file or folder")
    return [path]


def _size(text: str, engine: Engine) -> tuple[int, int] | None:
    if text == "trained":
        return engine.trained_size
    if text == "layout":
        return None
    try:
        return parse_size(text)
    except ValueError as error:
        raise ValueError(f"{error}, or trained, or layout") from None
