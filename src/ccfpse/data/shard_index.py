"""Which file of a data set lies where in its tar files."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

from ccfpse.data.pairing import Entry

VERSION = 1
KINDS = ("photo", "labels", "instances")


@dataclass(frozen=True)
class ShardIndex:
    """Where the samples of a split lie; the content of index.npz.

    stems, suffixes: names and photo suffixes of n samples. shard: n numbers of tar files. spans: n×3×2 int64,
    for photo, labels and instances the first byte in the tar and the length (0, 0 for no instances).
    """

    stems: list[str]
    suffixes: list[str]
    shard: np.ndarray
    spans: np.ndarray

    def to_bytes(self) -> bytes:
        """As an .npz without pickles: the strings as lines of UTF-8, or of names that are no text."""
        buffer = io.BytesIO()
        stems, suffixes = (
            np.frombuffer("\n".join(texts).encode(errors="surrogateescape"), dtype=np.uint8)
            for texts in (self.stems, self.suffixes)
        )
        np.savez_compressed(buffer, stems=stems, suffixes=suffixes, shard=self.shard, spans=self.spans)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> "ShardIndex":
        """The inverse of `to_bytes`."""
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            stems, suffixes = (
                arrays[name].tobytes().decode(errors="surrogateescape").split("\n")
                for name in ("stems", "suffixes")
            )
            return cls(stems, suffixes, arrays["shard"], arrays["spans"])


class ShardEntries(Sequence[Entry]):
    """The entries of an index, made when asked for: a million of them would weigh more than the index."""

    def __init__(self, table: ShardIndex, split: str) -> None:
        self.table = table
        self.split = split

    def __len__(self) -> int:
        return len(self.table.shard)

    @overload
    def __getitem__(self, number: int) -> Entry: ...
    @overload
    def __getitem__(self, number: slice) -> list[Entry]: ...
    def __getitem__(self, number: int | slice) -> Entry | list[Entry]:
        if isinstance(number, slice):
            return [self[i] for i in range(*number.indices(len(self)))]
        number = range(len(self))[number]
        stem = self.table.stems[number]
        key = f"{self.split}/{shard_name(self.table.shard[number])}/{member_key(number, stem)}"
        instances = f"{key}.instances.png" if self.table.spans[number, 2, 1] else None
        return Entry(stem, f"{key}.photo{self.table.suffixes[number]}", f"{key}.labels.png", instances)


def shard_name(number: int) -> str:
    """000000.tar, …"""
    return f"{number:06d}.tar"


def member_key(number: int, stem: str) -> str:
    """The name of a sample's files up to the kind; without dots, where webdataset would cut it."""
    return f"{number:08d}-{stem.replace('.', '_')}"
