"""Label spaces: which class an id of a label map means, its name and its colour (no torch here)."""

import colorsys
import difflib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Color = tuple[int, int, int]

FORMAT_HINT = '{"names": ["sky", "road"], "colors": [[140, 200, 240], [110, 110, 120]], "ignore": 255}'


@dataclass(frozen=True)
class LabelSpace:
    """The classes 0 … C-1 of a data set, their colours, and the id of pixels that carry no class.

    `ignore` is None when every pixel has a class; otherwise networks get one more channel, "unknown", the
    last. Raises ValueError when names, colours and `ignore` do not make a consistent space.
    """

    names: tuple[str, ...]
    colors: tuple[Color, ...]
    ignore: int | None = 255

    def __post_init__(self) -> None:
        if not self.names:
            raise ValueError("a label space needs at least one class, but names is empty")
        for name in self.names:
            if not isinstance(name, str) or not name.strip():
                raise ValueError(f"class names must be non-empty strings, got {name!r}")
        doubles = sorted({name for name in self.names if self.names.count(name) > 1})
        if doubles:
            raise ValueError(f"class names must differ, but {doubles[0]!r} appears more than once")
        if len(self.colors) != len(self.names):
            raise ValueError(
                f"{len(self.names)} names but {len(self.colors)} colors; give one [r, g, b] per class"
            )
        for name, color in zip(self.names, self.colors, strict=True):
            if len(color) != 3 or not all(_is_int(part) and 0 <= part <= 255 for part in color):
                raise ValueError(f"the color of {name!r} must be three integers 0..255, got {list(color)}")
        if self.ignore is not None:
            if not _is_int(self.ignore) or not 0 <= self.ignore <= 65535:
                raise ValueError(f"ignore must be an id 0..65535 or null, got {self.ignore!r}")
            if self.ignore < len(self.names):
                raise ValueError(
                    f"ignore = {self.ignore} is also the id of class {self.names[self.ignore]!r}; "
                    f"set ignore to an id from {len(self.names)} on (65535 for 16-bit maps) or to null"
                )

    def __len__(self) -> int:
        return len(self.names)

    @property
    def classes(self) -> int:
        """Number of classes, the unknown channel not counted."""
        return len(self.names)

    @property
    def unknown(self) -> bool:
        """Whether there is an extra channel for pixels without a class."""
        return self.ignore is not None

    @property
    def channels(self) -> int:
        """Number of one-hot channels: the classes, and "unknown" where there is an ignore id."""
        return self.classes + self.unknown

    @classmethod
    def load(cls, path: str | Path) -> "LabelSpace":
        """The label space in a `classes.json`; ValueError with the file's name where it cannot be read."""
        path = Path(path)
        try:
            content = json.loads(path.read_text(encoding="utf-8-sig"))
        except FileNotFoundError:
            raise ValueError(f"{path}: no such file; write one like {FORMAT_HINT}") from None
        except OSError as error:
            raise ValueError(f"{path}: cannot be read ({error.strerror or error})") from None
        except UnicodeDecodeError:
            raise ValueError(f"{path}: not UTF-8 text; save it as UTF-8 JSON") from None
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}: not JSON: {error}; expected the form {FORMAT_HINT}") from None
        try:
            return cls.from_dict(content)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "LabelSpace":
        """The inverse of `to_dict`; without "colors" distinct ones are made, and without "ignore" it is an id
        that no class has: 255, or 65535 for more than 255 classes.
        """
        if not isinstance(content, Mapping):
            raise ValueError(f"expected an object of the form {FORMAT_HINT}, got {type(content).__name__}")
        for key in content:
            if key not in ("names", "colors", "ignore"):
                raise ValueError(f"unknown key {key!r}{nearest(key, ('names', 'colors', 'ignore'))}")
        names = content.get("names")
        if not isinstance(names, Sequence) or isinstance(names, str):
            raise ValueError(f'"names" must be the list of class names, got {names!r}; form: {FORMAT_HINT}')
        colors = content.get("colors")
        if colors is None:
            colors = distinct_colors(len(names))
        if not isinstance(colors, Sequence) or not all(
            isinstance(color, Sequence) and not isinstance(color, str) for color in colors
        ):
            raise ValueError(f'"colors" must be a list of [r, g, b], one per class; form: {FORMAT_HINT}')
        free = 255 if len(names) <= 255 else 65535
        return cls(tuple(names), tuple(tuple(color) for color in colors), content.get("ignore", free))

    def to_dict(self) -> dict[str, Any]:
        """The content of a `classes.json`."""
        return {
            "names": list(self.names),
            "colors": [list(color) for color in self.colors],
            "ignore": self.ignore,
        }

    def save(self, path: str | Path) -> None:
        """Write a `classes.json`, atomically."""
        path = Path(path)
        temporary = path.with_name(f".{path.name}.part")
        rows = ",\n  ".join(
            f"{json.dumps(key)}: {json.dumps(value)}" for key, value in self.to_dict().items()
        )
        temporary.write_text(f"{{\n  {rows}\n}}\n", encoding="utf-8")
        os.replace(temporary, path)

    def index(self, name: str) -> int:
        """The id of a class by name; ValueError naming the nearest one where there is none."""
        if name not in self.names:
            raise ValueError(f"no class {name!r}{nearest(name, self.names)}")
        return self.names.index(name)

    def colorize(self, ids: np.ndarray) -> np.ndarray:
        """Colours of a label map.

        ids: H×W integers, raw ids or the output of `to_index`; returns H×W×3 uint8. Pixels without a class
        (`ignore`, or `classes` where there is an unknown channel) are black. Raises ValueError for other ids.
        """
        palette = np.array([*self.colors, (0, 0, 0)], dtype=np.uint8)
        ids = np.asarray(ids)
        if self.ignore is not None:
            ids = np.where(ids == self.classes, self.ignore, ids)
        return palette[self.to_index(ids)]

    def to_index(self, ids: np.ndarray, where: str = "label map") -> np.ndarray:
        """Raw ids as channel numbers: int64 of the same shape, `ignore` becoming `classes`, the last channel.

        Raises the ValueError of `validate` for ids outside the space.
        """
        ids = _integers(ids, where)
        index = ids.astype(np.int64)
        if self.ignore is not None:
            ignored = index == self.ignore
            index[ignored] = 0
        if index.size and (index.min() < 0 or index.max() >= self.classes):
            self.validate(ids, where)
        if self.ignore is not None:
            index[ignored] = self.classes
        return index

    def validate(self, ids: np.ndarray, where: str) -> None:
        """Raise ValueError when a label map holds ids outside the space.

        The sentence names `where` (the file), the worst ids with their pixel counts, and the cure.
        """
        found, counts = np.unique(_integers(ids, where), return_counts=True)
        wrong = (found < 0) | (found >= self.classes)
        if self.ignore is not None:
            wrong &= found != self.ignore
        if not wrong.any():
            return
        order = np.argsort(-counts[wrong], kind="stable")
        worst = [(int(found[wrong][i]), int(counts[wrong][i])) for i in order]
        listed = ", ".join(f"{value} ({count} pixel{'s' * (count != 1)})" for value, count in worst[:5])
        more = f" and {len(worst) - 5} more ids" if len(worst) > 5 else ""
        last = f"{self.classes - 1} ({self.names[-1]})"
        allowed = "" if self.ignore is None else f", and {self.ignore} for pixels without a class"
        raise ValueError(
            f"{where}: label id {listed}{more}, but the classes are 0..{last}{allowed}; "
            + self._cure(found[wrong])
        )

    def _cure(self, wrong: np.ndarray) -> str:
        if wrong.tolist() == [self.classes]:
            return "add the class to classes.json or, if ids start at 1, `ccfpse data convert remap` them"
        if wrong.tolist() == [255] and self.classes <= 255:
            return 'if 255 means "no class", set "ignore": 255 in classes.json'
        return "add the missing classes to classes.json or remap the ids (`ccfpse data convert remap`)"


def nearest(word: str, known: Sequence[str]) -> str:
    """The end of a sentence about a misspelt word: `; did you mean 'window'?`, or the known words."""
    matches = difflib.get_close_matches(str(word), known, n=1)
    if matches:
        return f"; did you mean {matches[0]!r}?"
    shown = ", ".join(known[:8]) + (", …" if len(known) > 8 else "")
    return f"; there are {shown}"


def distinct_colors(count: int) -> tuple[Color, ...]:
    """`count` colours that differ, always the same ones: hues by the golden ratio over three brightnesses."""
    colors = []
    for i in range(count):
        hue = (0.58 + i * 0.61803398875) % 1
        red, green, blue = colorsys.hsv_to_rgb(hue, (0.75, 0.5, 0.9)[i % 3], (0.9, 0.7, 0.55)[i // 2 % 3])
        colors.append((round(red * 255), round(green * 255), round(blue * 255)))
    return tuple(colors)


def _integers(ids: np.ndarray, where: str) -> np.ndarray:
    ids = np.asarray(ids)
    if ids.dtype.kind not in "iu":
        raise ValueError(f"{where}: class ids must be integers, got an array of {ids.dtype}")
    return ids


def _is_int(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
