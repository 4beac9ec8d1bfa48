"""What the metrics are given: real pairs one by one, a function that makes images, one that labels photos."""

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from ccfpse.labels import LabelSpace


class Pair(Protocol):
    """A real photo with its maps, at the size that is evaluated.

    photo: H×W×3 uint8. labels: H×W integers, `LabelSpace.to_index` of the raw ids (unlabelled: `classes`).
    instances: H×W integers or None.
    """

    @property
    def stem(self) -> str: ...
    @property
    def photo(self) -> np.ndarray: ...
    @property
    def labels(self) -> np.ndarray: ...
    @property
    def instances(self) -> np.ndarray | None: ...


class Pairs(Protocol):
    """A data set of pairs; `stems` are their names in the order of their index."""

    @property
    def stems(self) -> Sequence[str]: ...
    def __len__(self) -> int: ...
    def sample(self, index: int, /) -> Pair: ...


# (pair, count, seed) -> count×H×W×3 uint8: `count` images of the pair's layout in different styles; the photo
# of the pair may serve as the style reference and, in the controls, as the source.
Generate = Callable[[Pair, int, int], np.ndarray]


class Segmenter(Protocol):
    """Labels photos: N×H×W×3 uint8 to N×H×W class ids of the data's label space.

    `predicts` are the ids it can predict: true labels beyond them count as unlabelled. Where it sees a class
    that the label space lacks, it returns the number of classes.
    """

    @property
    def name(self) -> str: ...
    @property
    def predicts(self) -> Sequence[int]: ...
    def __call__(self, photos: np.ndarray, /) -> np.ndarray: ...


def pair_hash(pair: Pair) -> str:
    """A hash of everything a pair holds: name, photo and maps."""
    digest = hashlib.sha256(pair.stem.encode())
    for array in (pair.photo, pair.labels, pair.instances):
        if array is not None:
            digest.update(f"{array.shape} {array.dtype}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def data_hash(pairs: Pairs, label_space: LabelSpace, samples: int = 64) -> str:
    """A short hash of a data set: its classes, all names, and `samples` pairs spread over it.

    Of a larger set it does not see every change of a photo or map that keeps its name.
    """
    spread = np.unique(np.linspace(0, len(pairs) - 1, samples).astype(int))
    hashes = [pair_hash(pairs.sample(int(index))) for index in spread]
    parts = json.dumps([label_space.to_dict(), list(pairs.stems), hashes])
    return hashlib.sha256(parts.encode()).hexdigest()[:16]


def files_of_layouts(folder: str | Path, stems: Sequence[str]) -> dict[str, list[Path]]:
    """For each layout its images in a folder: STEM.png, or STEM_0.png, STEM-1.png, … in the numbers' order.

    jpg, jpeg and webp count too. Raises ValueError when a layout has no image, or one without a number beside
    numbered ones: that may be an image of another layout, whose name ends in the number.
    """
    found: dict[str, list[tuple[int, Path]]] = {stem: [] for stem in stems}
    for path in sorted(Path(folder).iterdir()) if Path(folder).is_dir() else []:
        if path.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp"):
            continue
        numbered = re.fullmatch(r"(.+)[_-](\d+)", path.stem)
        if path.stem in found:
            found[path.stem].append((-1, path))
        elif numbered and numbered[1] in found:
            found[numbered[1]].append((int(numbered[2]), path))
    if missing := [stem for stem, files in found.items() if not files]:
        raise ValueError(
            f"{folder}: no image of {len(missing)} of {len(found)} layouts, the first is {missing[0]};"
            f" name the images like the photos, {missing[0]}.png or {missing[0]}_0.png, {missing[0]}_1.png, …"
        )
    for stem, files in found.items():
        (least, one), (most, other) = min(files), max(files)
        if least < 0 <= most:
            raise ValueError(
                f"{folder}: {stem} has {one.name} beside numbered images such as {other.name}; number all of "
                "its images or none, and rename a layout that is called like an image of another"
            )
    return {stem: [path for _, path in sorted(files)] for stem, files in found.items()}


def images_from_folder(folder: str | Path, stems: Sequence[str], size: tuple[int, int]) -> Generate:
    """Images that somebody else made, named as `files_of_layouts` says, as a `Generate` function.

    Other sizes than `size` (height, width) are resized bicubically. Raises ValueError when a layout has no
    image, here, or fewer than asked for, when called.
    """
    found = files_of_layouts(folder, stems)

    def generate(pair: Pair, count: int, seed: int) -> np.ndarray:
        files = found[pair.stem]
        if len(files) < count:
            raise ValueError(
                f"{folder}: {pair.stem} has {len(files)} images, but the protocol asks for {count} styles;"
                f" add images or evaluate with {len(files)} styles"
            )
        return np.stack([_read(path, size) for path in files[:count]])

    return generate


def folder_identity(folder: str | Path) -> str:
    """A short hash of a folder's file names, sizes and times: a `source` for `evaluate`."""
    files = [
        (path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(Path(folder).iterdir())
    ]
    return hashlib.sha256(json.dumps(files).encode()).hexdigest()[:16]


def _read(path: Path, size: tuple[int, int]) -> np.ndarray:
    try:
        with Image.open(path) as opened:
            image = opened.convert("RGB")
    except OSError as error:
        raise ValueError(f"{path}: cannot be decoded as an image ({error}); replace it") from None
    if image.size != size[::-1]:
        image = image.resize(size[::-1], Image.Resampling.BICUBIC)
    return np.asarray(image)
