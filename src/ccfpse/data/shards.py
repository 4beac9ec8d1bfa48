"""Data sets packed into tar files, for sets of many files, on slow or remote storage.

    classes.json                 as in a data set folder
    shards.json                  splits, tar files, how many samples and bytes each holds
    train/index.npz              where in which tar each file starts
    train/000000.tar, …          NUMBER-STEM.photo.jpg, NUMBER-STEM.labels.png, NUMBER-STEM.instances.png

The tars are ordinary ones, which webdataset reads too (key NUMBER-STEM). With the index every sample is one
read of one span of bytes, so that shards are drawn from like any other data set (`SampleOrder` with
`groups`), by any number of ranks and workers, and resumed at any position. Roots may be URLs of whatever
fsspec can open (s3://, https://, …).
"""

import json
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ccfpse.data.dataset import PairedDataset
from ccfpse.data.pairing import Entry, Fault
from ccfpse.data.sample import CorruptSample
from ccfpse.data.shard_index import KINDS, VERSION, ShardEntries, ShardIndex, shard_name
from ccfpse.labels import LabelSpace


class ShardDataset(PairedDataset):
    """A split packed by `write_shards`; `groups` are the numbers of samples per tar, for `SampleOrder`."""

    layout = "shards"
    expects = "shards.json, classes.json, SPLIT/index.npz and SPLIT/*.tar, as `ccfpse data shard` writes them"

    @classmethod
    def splits(cls, root: str | Path) -> list[str]:
        try:
            return list(_description(root)["splits"])
        except (FileNotFoundError, NotADirectoryError):
            return []

    def find_label_space(self) -> LabelSpace:
        classes = self._part("classes.json")
        try:
            return LabelSpace.from_dict(json.loads(classes))
        except ValueError as error:
            raise ValueError(f"{self.path('classes.json')}: {error}") from None

    def find_entries(self) -> tuple[Sequence[Entry], list[Fault]]:
        shards = _description(self.root)["splits"][self.split]
        self.groups = shards["samples"]
        table = self._part(f"{self.split}/index.npz")
        try:
            self.index = ShardIndex.from_bytes(table)
        except Exception:  # zipfile, zlib and numpy each have errors of their own for damaged bytes
            raise ValueError(f"{self.path(self.split)}/index.npz: damaged; copy it again") from None
        self._recent: dict[int, tuple[int, int, bytes]] = {}  # thread -> sample, its first byte, its bytes
        self.remote = _is_url(self.root)
        faults = []
        if not self.remote:
            for number, size in enumerate(shards["bytes"]):
                name = f"{self.split}/{shard_name(number)}"
                there = os.path.getsize(self.path(name)) if os.path.exists(self.path(name)) else 0
                if there != size:
                    faults.append(
                        Fault(name, f"holds {there} bytes, but should hold {size}", "copy it again")
                    )
        return ShardEntries(self.index, self.split), faults

    def _part(self, name: str) -> bytes:
        try:
            return read_span(self.path(name))
        except OSError as error:
            raise ValueError(f"{self.path(name)}: cannot be read ({error.strerror or error})") from None

    def image_files(self, entry: Entry) -> list[str]:
        return []  # all lie in tars, whose sizes are compared when the set is opened

    def content(self, file: str) -> bytes:
        shard, _, member = file.rpartition("/")
        number, kind = int(member.partition("-")[0]), KINDS.index(member.split(".")[-2])
        spans = self.index.spans[number]
        thread = threading.get_ident()
        sample, first, content = self._recent.get(thread, (-1, 0, b""))
        if sample != number:  # one read for all files of a sample: they lie next to each other
            first, end = int(spans[0, 0]), int(spans.sum(axis=1).max())
            try:
                content = read_span(self.path(shard), first, end)
            except OSError as error:
                reason = f"cannot be read ({error.strerror or error})"
                cure = "copy the shard again"
                if self.remote:
                    cure += ", to a server that serves ranges of bytes"
                raise CorruptSample(self.path(shard), reason, cure) from None
            self._recent[thread] = number, first, content
        start = int(spans[kind, 0]) - first
        return content[start : start + int(spans[kind, 1])]


def read_span(location: str, start: int = 0, end: int | None = None) -> bytes:
    """Bytes `start` … `end` - 1 of a file or of a URL that fsspec can open; OSError where there are fewer,
    and where a server sends more: one that ignores ranges sends the whole file for each sample.
    """
    if _is_url(location):
        content = _remote_span(location, start, end)
    else:
        with open(location, "rb") as file:
            file.seek(start)
            content = file.read(-1 if end is None else end - start)
    if end is not None and len(content) < end - start:
        raise OSError(f"ends before byte {end}")
    if end is not None and len(content) > end - start:
        raise OSError(f"the server sent {len(content)} bytes where {end - start} were asked for")
    return content


def _is_url(location: str) -> bool:
    return "://" in location


def _remote_span(url: str, start: int, end: int | None) -> bytes:
    import fsspec  # type: ignore[import-untyped]  # comes with torch

    try:
        system, path = fsspec.core.url_to_fs(url)  # anew each time: file systems do not survive a fork
        return system.cat_file(path, start=start, end=end)
    except ImportError as error:
        raise ValueError(f"{url}: {error}") from None
    except OSError:
        raise
    except Exception as error:  # clients of remote stores raise what they like
        raise OSError(f"{type(error).__name__}: {error}") from error


def _description(root: str | Path) -> dict[str, Any]:
    """The content of shards.json; FileNotFoundError where there is none, ValueError where it is not one."""
    location = f"{os.fspath(root).rstrip('/')}/shards.json"
    try:
        description = json.loads(read_span(location))
        version, _ = description["version"], description["splits"].items()
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise ValueError(f"{location}: cannot be read ({error})") from None
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError):
        raise ValueError(f"{location}: not a description of shards; write them again") from None
    if version != VERSION:
        raise ValueError(f"{location}: version {version}, but this program reads version {VERSION}")
    return description
