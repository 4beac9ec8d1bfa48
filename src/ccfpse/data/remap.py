"""Data set folders whose label maps hold the right regions under the wrong ids."""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ccfpse.data.decode import decode_labels
from ccfpse.data.folder import FolderDataset
from ccfpse.data.pairing import Entry
from ccfpse.data.sample import CorruptSample
from ccfpse.data.transforms import PairedTransform
from ccfpse.labels import LabelSpace


class RemapDataset(FolderDataset):
    """A folder like ours whose ids are replaced as they are read; ids that `ids` does not name stay.

    ids: old id -> new id, or its text for `parse_ids`. classes: the `classes.json` of the new ids, by
    default the one in the folder.
    """

    layout = "folder of label maps with other ids"

    def __init__(
        self,
        root: str | Path,
        split: str = "train",
        transform: PairedTransform | None = None,
        *,
        strict: bool = True,
        ids: Mapping[int, int] | str | None = None,
        classes: str | Path | None = None,
    ) -> None:
        if ids is None:
            raise ValueError('no ids to remap; say which become which, e.g. --ids "0:255, 1-150:0-149"')
        self.classes = Path(root) / "classes.json" if classes is None else Path(classes)
        self.table = np.arange(65536, dtype=np.uint16)
        for old, new in (parse_ids(ids) if isinstance(ids, str) else ids).items():
            if not (0 <= old <= 65535 and 0 <= new <= 65535):
                raise ValueError(f"ids to remap must be 0..65535, got {old}:{new}")
            self.table[old] = new
        super().__init__(root, split, transform, strict=strict)

    def find_label_space(self) -> LabelSpace:
        return LabelSpace.load(self.classes)

    def read_labels(self, entry: Entry) -> np.ndarray:
        # Whatever the palette says of the old ids.
        labels = decode_labels(self.path(entry.labels), self.content(entry.labels), equal_channels=True)
        if (top := int(labels.max(initial=0))) >= len(self.table):
            raise CorruptSample(self.path(entry.labels), f"label id {top}", "ids of label maps end at 65535")
        return self.table[labels]


def parse_ids(text: str) -> dict[int, int]:
    """Old and new ids in words: "0:255, 1-150:0-149" makes 0 the id 255 and takes 1 off each of 1 … 150.

    A range may also become one id ("5-9:255"). Raises ValueError naming the part that cannot be read.
    """
    ids: dict[int, int] = {}
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*:\s*(\d+)(?:-(\d+))?\s*", part)
        if match is None:
            raise ValueError(f'ids to remap must read like "0:255, 1-150:0-149", got {part.strip()!r}')
        first, last, new, new_last = (None if group is None else int(group) for group in match.groups())
        assert first is not None
        assert new is not None
        old = range(first, (first if last is None else last) + 1)
        if not old or (new_last is not None and new_last - new != len(old) - 1):
            raise ValueError(f"{part.strip()!r}: the two ranges must ascend and be equally long")
        for step, number in enumerate(old):
            if number in ids:
                raise ValueError(f"{part.strip()!r}: id {number} is already remapped to {ids[number]}")
            ids[number] = new if new_last is None else new + step
    return ids
