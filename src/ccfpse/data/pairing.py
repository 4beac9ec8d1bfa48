"""Which files belong together, and which have no partner; names only, no pixel is read."""

import bisect
import os
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from rich.text import Text

UNUSED = ", or train with --data.instances=false"
PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


class Entry(NamedTuple):
    """The files of one photo, relative to the data set's root."""

    stem: str
    photo: str
    labels: str
    instances: str | None


@dataclass(frozen=True)
class Fault:
    """Something wrong with a file of a data set: which, what, and the cure."""

    file: str
    what: str
    cure: str

    def __str__(self) -> str:
        return f"{self.file}: {self.what}; {self.cure}"

    def line(self) -> Text:
        """As a line of a report."""
        return Text.assemble("  ", (self.file, "bold"), f": {self.what}; ", (self.cure, "green"))


class Files(NamedTuple):
    """The files of one kind ("photo", "label map", "instance map") in one folder, by stem.

    suffixes: what their names end in. unexpected: stems of files that end otherwise, which are faults.
    """

    kind: str
    folder: str
    suffixes: tuple[str, ...]
    by_stem: Mapping[str, str]
    unexpected: set[str]
    faults: Sequence[Fault]


def collect(
    root: str | Path,
    folder: str,
    kind: str,
    suffixes: tuple[str, ...],
    *,
    others: bool = False,
    without: str | None = None,
) -> Files:
    """The files under root/folder, sub-folders (linked ones, too) included and hidden ones left out, whose
    names end in one of `suffixes` (any case).

    What stands before the suffix is the stem. Two files of one stem are a fault, and so are other files
    unless `others` allows them. Sub-folders called `without` are left out.
    """
    by_stem: dict[str, str] = {}
    unexpected: set[str] = set()
    faults: list[Fault] = []
    top = os.path.join(root, folder)
    walked: set[str] = set()  # links may lead in circles

    def hidden(error: OSError) -> None:
        if os.path.isdir(top):  # where it is not, `pair` says so
            here = os.path.relpath(str(error.filename), root).replace(os.sep, "/")
            faults.append(Fault(here, f"cannot be listed ({error.strerror})", "allow it to be read"))

    for here, folders, names in os.walk(top, followlinks=True, onerror=hidden):
        if (real := os.path.realpath(here)) in walked:
            folders.clear()
            continue
        walked.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != without)
        inside = os.path.relpath(here, top).replace(os.sep, "/")
        for name in sorted(names):
            path = f"{folder}/{name}" if inside == "." else f"{folder}/{inside}/{name}"
            if name.startswith(".") or name in ("Thumbs.db", "desktop.ini"):
                continue
            suffix = next((suffix for suffix in suffixes if name.lower().endswith(suffix.lower())), None)
            if suffix is None:
                if not others:
                    unexpected.add(os.path.splitext(name)[0])
                    what = f"unexpected file (a {kind} here ends in {', '.join(suffixes)})"
                    faults.append(Fault(path, what, "convert or remove it"))
                continue
            stem = name[: -len(suffix)]
            if stem in by_stem:
                faults.append(Fault(path, f"same name as {by_stem[stem]}", "rename or remove one of the two"))
            else:
                by_stem[stem] = path
    return Files(kind, folder, suffixes, by_stem, unexpected, faults)


def pair(photos: Files, labels: Files, instances: Files | None = None) -> tuple[list[Entry], list[Fault]]:
    """The complete entries, ordered by stem, and the faults of what is left."""
    kinds = [photos, labels] if instances is None else [photos, labels, instances]
    faults = [fault for files in kinds for fault in files.faults]
    for files in kinds:
        if not files.by_stem and not files.faults:
            what = f"no {files.kind}s here (names end in {', '.join(files.suffixes)})"
            cure = "each photo needs its maps by its name" + UNUSED * (files is instances)
            faults.append(Fault(files.folder, what, cure))
    if any(not files.by_stem for files in kinds):
        return [], faults
    misnamed = _misnamed(set(photos.by_stem), set(labels.by_stem))
    entries = []
    for stem in sorted(set().union(*(files.by_stem for files in kinds)) - set(misnamed.values())):
        missing = [files for files in kinds if stem not in files.by_stem]
        present = next(files.by_stem[stem] for files in kinds if stem in files.by_stem)
        if stem in misnamed:
            faults.append(_renaming(present, labels.by_stem[misnamed[stem]], stem, misnamed[stem]))
            continue
        for files in missing:
            if stem not in files.unexpected:  # which are there, in another format, and told already
                cure = f"add it to {files.folder} or remove this file" + UNUSED * (missing == [instances])
                faults.append(Fault(present, f"has no {files.kind}", cure))
        if not missing:
            ids = None if instances is None else instances.by_stem[stem]
            entries.append(Entry(stem, photos.by_stem[stem], labels.by_stem[stem], ids))
    return entries, faults


def _misnamed(photos: set[str], labels: set[str]) -> dict[str, str]:
    """Stems of photos without a label map, with those of label maps without a photo that seem to be meant:
    of the same letters in another spelling, or longer by something like _mask.
    """
    spare = sorted(labels - photos)
    spelt = {unicodedata.normalize("NFC", stem): stem for stem in spare}
    found = {}
    for stem in photos - labels:
        longer = spare[bisect.bisect(spare, stem) :][:1]
        if (same := spelt.get(unicodedata.normalize("NFC", stem))) is not None:
            found[stem] = same
        elif longer and longer[0].startswith(stem) and not longer[0][len(stem)].isalnum():
            found[stem] = longer[0]
    return found


def _renaming(photo: str, label_map: str, stem: str, other: str) -> Fault:
    """What is wrong with a photo whose label map has another name."""
    if unicodedata.normalize("NFC", stem) == unicodedata.normalize("NFC", other):
        what = f"and {label_map} are spelt in different characters (Unicode's NFC and NFD)"
        return Fault(photo, what, "rename one as the other")
    return Fault(photo, f"has no label map of its name; {label_map} may be it", f"rename that to {stem}.png")
