"""Data sets annotated in COCO's JSON format: COCO itself, and the exports of most annotation tools."""

import os
import re
import threading
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ccfpse.data.coco_annotations import read_annotations
from ccfpse.data.dataset import PairedDataset
from ccfpse.data.pairing import Entry, Fault
from ccfpse.data.sample import CorruptSample
from ccfpse.data.transforms import PairedTransform
from ccfpse.labels import LabelSpace, distinct_colors

SPLIT_NAMES = {
    "training": "train",
    "default": "train",
    "valid": "val",
    "validation": "val",
    "testing": "test",
}


class Source(NamedTuple):
    """A split's annotation file, and the folders that may hold its photos; relative to the set's root."""

    annotations: str
    folders: tuple[str, ...]


Painted = tuple[np.ndarray, list[int]]  # an instance map, and the categories of its instances


class CocoJson(PairedDataset):
    """A split annotated in COCO JSON, read in place: segments are painted into label and instance maps.

    Classes are the categories' names, ordered by their smallest id (gaps close up, equal names become one),
    over all splits. Pixels outside all segments have no class. `root`: the folder, or the JSON file itself;
    `images`: the folder of the photos, where they lie in an unusual place.
    """

    layout = "COCO-format JSON"
    expects = "annotations/instances_SPLIT*.json, SPLIT/_annotations.coco.json or one .json, photos beside it"

    def __init__(
        self,
        root: str | Path,
        split: str = "train",
        transform: PairedTransform | None = None,
        *,
        strict: bool = True,
        instances: bool = True,
        images: str | Path | None = None,
    ) -> None:
        self.sources = _sources(root)
        self.images = None if images is None else os.fspath(images)
        self._recent: dict[int, tuple[str, Painted]] = {}  # thread -> what it painted last
        super().__init__(root, split, transform, strict=strict, instances=instances)

    @classmethod
    def splits(cls, root: str | Path) -> list[str]:
        return sorted(_sources(root), key=lambda name: (name != "train", name))

    def find_label_space(self) -> LabelSpace:
        if os.path.isfile(self.root):
            self.root = os.path.dirname(self.root) or "."
        self.file = read_annotations(self.path(self.sources[self.split].annotations))
        first_id: dict[str, int] = {}
        self.name_of: dict[int, str] = {}
        for source in self.sources.values():
            path = self.path(source.annotations)
            for number, name in read_annotations(path).categories.items():
                if self.name_of.setdefault(number, name) != name:
                    raise ValueError(
                        f"{path}: category {number} is {name!r}, in another split {self.name_of[number]!r}; "
                        "export all splits together, so that they number their categories alike"
                    )
                first_id[name] = min(number, first_id.get(name, number))
        if not first_id:
            raise ValueError(f'{self.root}: "categories" is empty; list the classes there')
        names = tuple(sorted(first_id, key=lambda name: first_id[name]))
        return LabelSpace(names, distinct_colors(len(names)), 255 if len(names) <= 255 else 65535)

    def find_entries(self) -> tuple[list[Entry], list[Fault]]:
        annotations = self.sources[self.split].annotations
        pictures = self.file.pictures
        if not pictures:
            return [], [Fault(annotations, "lists no images", "export it again with images")]
        if not self.file.annotated:
            return [], [Fault(annotations, "lists no annotations", "export it again with segmentations")]
        folder = self._photo_folder([picture.file_name for picture in pictures])
        entries: list[Entry] = []
        faults = []
        seen: dict[str, str] = {}
        for number, picture in enumerate(pictures):
            photo = os.path.normpath(f"{folder}/{picture.file_name}").replace(os.sep, "/")
            stem = os.path.splitext(os.path.basename(photo))[0]
            if stem in seen:
                faults.append(Fault(photo, f"same name as {seen[stem]}", "rename or remove one of the two"))
                continue
            seen[stem] = photo
            if not os.path.exists(self.path(photo)):
                faults.append(Fault(photo, f"listed in {annotations}, but not there", "add it"))
                continue
            where = f"{annotations}#{number}"
            entries.append(Entry(stem, photo, where, where))
        return entries, faults

    def notes(self) -> list[str]:
        left_out = {
            "are boxes without a segmentation": self.file.boxes_only,
            "belong to no listed image": self.file.unmatched,
        }
        annotations = self.sources[self.split].annotations
        return [f"{annotations}: {count} annotations {why}" for why, count in left_out.items() if count]

    def read_labels(self, entry: Entry) -> np.ndarray:
        ids, categories = self._painted(entry)
        wide = self.label_space.classes > 255
        class_of = np.full(len(categories) + 1, self.label_space.ignore, np.uint16 if wide else np.uint8)
        for i, category in enumerate(categories):
            if category not in self.name_of:
                annotations = self.path(self.sources[self.split].annotations)
                reason = f"{entry.photo}: annotation of category {category}, which is not listed"
                raise CorruptSample(annotations, reason, 'add it to "categories"')
            class_of[i + 1] = self.label_space.index(self.name_of[category])
        return class_of[ids]

    def read_instances(self, entry: Entry, size: tuple[int, ...]) -> np.ndarray:
        return self._painted(entry)[0]

    def _painted(self, entry: Entry) -> Painted:
        thread = threading.get_ident()
        where, painted = self._recent.get(thread, ("", None))
        if painted is None or where != entry.labels:  # painted once for labels and instances
            try:
                painted = self.file.painted(int(entry.labels.rpartition("#")[2]))
            except ValueError as error:
                annotations = self.path(self.sources[self.split].annotations)
                raise CorruptSample(annotations, f"{entry.photo}: {error}", "repair or remove it") from None
            self._recent[thread] = entry.labels, painted
        return painted

    def _photo_folder(self, names: list[str]) -> str:
        """The first folder that holds any of these photos."""
        folders = self.sources[self.split].folders
        if self.images is not None:
            images, root = (os.path.realpath(folder) for folder in (self.images, self.root))
            folders = (os.path.relpath(images, root).replace(os.sep, "/"),)
        for folder in folders:
            inside = self.path(folder)
            if os.path.isdir(inside) and any(os.path.exists(f"{inside}/{name}") for name in names):
                return folder
        raise ValueError(
            f"{self.root}: photo {names[0]!r} of {self.sources[self.split].annotations} not found in "
            f"{', '.join(folders)}; move them there, or `ccfpse data convert coco-json JSON DESTINATION "
            "--images FOLDER`"
        )


def _sources(root: str | Path) -> dict[str, Source]:
    """The splits of a folder (or the one JSON file), by name."""
    root = Path(root)
    if root.is_file() and root.suffix.lower() == ".json":
        folders = _photo_folders(_part(root), _split_name(root.stem))
        beside = dict.fromkeys(f"{above}{folder}" for above in ("", "../") for folder in (".", *folders))
        return {_split_name(root.stem): Source(root.name, tuple(beside))}
    if not root.is_dir():
        return {}
    found = {path.parent.name: path for path in sorted(root.glob("*/_annotations.coco.json"))}
    if not found:
        files = [*sorted(root.glob("annotations/[!.]*.json")), *sorted(root.glob("[!.]*.json"))]
        wanted = [path for path in files if path.stem.startswith("instances")] or [
            path for path in files if re.search("coco|annotations|train|val|test", path.stem)
        ]
        if not wanted and len(files) == 1 and b'"annotations"' in files[0].read_bytes():
            wanted = files  # result.json, labels.json, …: as many names as there are tools
        found = {_part(path): path for path in wanted}
    named = {_split_name(part): part for part in found}
    if len(named) < len(found):  # train2014 beside train2017
        named = {part: part for part in found}
    return {
        split: Source(
            found[part].relative_to(root).as_posix(),
            tuple(
                dict.fromkeys(
                    (
                        found[part].parent.relative_to(root).as_posix(),
                        *_photo_folders(part, split),
                        ".",
                    )
                )
            ),
        )
        for split, part in named.items()
    }


def _part(file: Path) -> str:
    """What a file's name says of its part of the set, such as train2017."""
    return re.sub("^(instances|annotations|coco)_", "", file.stem)


def _photo_folders(part: str, split: str) -> list[str]:
    """Where the photos of a part may lie, the likeliest folder first."""
    own = dict.fromkeys(f"{above}{name}" for name in (part, split) for above in ("", "images/"))
    return [*own, "images", "data"]


def _split_name(part: str) -> str:
    """train for train2017, val for valid_coco, …; a lone file of another name is the training split."""
    words = (SPLIT_NAMES.get(word, word) for word in re.findall("[a-z]+", part.lower()))
    return next((word for word in words if word in ("train", "val", "test")), "train")
