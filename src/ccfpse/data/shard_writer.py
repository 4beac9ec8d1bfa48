"""Packing a data set into tar files with an index."""

import functools
import io
import json
import os
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ccfpse.data.convert import Conversion, narrow_instances, require_other_folder
from ccfpse.data.dataset import PairedDataset
from ccfpse.data.decode import encode_ids, encode_png
from ccfpse.data.layouts import find_layout, left_out, open_splits
from ccfpse.data.pairing import PHOTO_SUFFIXES, Fault
from ccfpse.data.parallel import mapped
from ccfpse.data.sample import CorruptSample
from ccfpse.data.shard_index import KINDS, VERSION, ShardIndex, member_key, shard_name

UNFINISHED = "unfinished"  # while shards are written


def write_shards(
    source: str | Path,
    destination: str | Path,
    *,
    splits: Sequence[str] | None = None,
    shard_megabytes: int = 256,
    seed: int = 0,
    overwrite: bool = False,
    workers: int | None = None,
    progress: bool = False,
) -> Conversion:
    """Pack a data set of any known layout into tar files of at most `shard_megabytes`.

    The order is shuffled by `seed`. Label maps are checked on the way. Samples that cannot be read are left
    out and listed as faults. Raises ValueError when the source is no data set or the destination itself, and
    when the destination is not empty and `overwrite` is not given.
    """
    target = Path(destination)
    require_other_folder(source, destination)
    datasets = open_splits(find_layout(source), source, splits)
    if target.exists() and any(target.iterdir()):
        if not overwrite:
            raise ValueError(f"{target}: not empty; write to a new folder or `--overwrite`")
        if not any((target / name).exists() for name in ("shards.json", UNFINISHED)):
            raise ValueError(f"{target}: holds no shards that could be overwritten; give another folder")
    target.mkdir(parents=True, exist_ok=True)
    (target / UNFINISHED).touch()
    (target / "shards.json").unlink(missing_ok=True)  # comes last, so that an interrupted run is no data set
    datasets[0].label_space.save(target / "classes.json")
    result = Conversion(str(source), str(destination), datasets[0].layout)
    described = {}
    for dataset in datasets:
        if note := left_out(dataset):
            result.notes.append(note)
            continue
        folder = target / dataset.split
        folder.mkdir(exist_ok=True)
        for stale in folder.glob("*.tar"):
            stale.unlink()
        result.faults += dataset.faults
        writer = ShardWriter(folder, shard_megabytes * 2**20)
        order = np.random.default_rng(seed).permutation(len(dataset))
        packed = mapped(
            functools.partial(_packed, dataset, order),
            len(dataset),
            f"packing {dataset.split}",
            workers=workers,
            progress=progress,
        )
        with dataset.comparing_files():
            for outcome in packed:
                if isinstance(outcome, Fault):
                    result.faults.append(outcome)
                else:
                    writer.add(*outcome)
        described[dataset.split] = writer.close()
        result.written[dataset.split], result.kept[dataset.split] = (
            sum(described[dataset.split]["samples"]),
            0,
        )
        result.notes += dataset.notes()
    description = json.dumps({"version": VERSION, "splits": described}, indent=2)
    (target / "shards.json").write_text(description + "\n")
    (target / UNFINISHED).unlink()
    return result


class ShardWriter:
    """Writes samples into 000000.tar, … of at most `shard_bytes` (or one sample), and their index."""

    def __init__(self, folder: Path, shard_bytes: int) -> None:
        self.folder = folder
        self.shard_bytes = shard_bytes
        self.samples: list[int] = []
        self.bytes: list[int] = []
        self._tar: tarfile.TarFile | None = None
        self._stems: list[str] = []
        self._suffixes: list[str] = []
        self._shards: list[int] = []
        self._spans: list[list[tuple[int, int]]] = []

    def add(self, stem: str, suffix: str, contents: Sequence[bytes]) -> None:
        """One sample: photo (with its file's suffix), label map and, where there is one, instance map."""
        if self._tar is None or self._tar.offset + sum(map(len, contents)) > self.shard_bytes:
            self._finish_shard()
            self._tar = tarfile.open(self.folder / shard_name(len(self.samples)), "w")  # noqa: SIM115
            self.samples.append(0)
        key = member_key(len(self._stems), stem)
        spans = [(0, 0)] * len(KINDS)
        for i, content in enumerate(contents):
            member = tarfile.TarInfo(f"{key}.{KINDS[i]}{suffix if i == 0 else '.png'}")
            member.size = len(content)
            self._tar.addfile(member, io.BytesIO(content))
            spans[i] = (
                self._tar.offset - -(-len(content) // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE,
                len(content),
            )
        self._stems.append(stem.replace("\n", " "))  # the index keeps one a line
        self._suffixes.append(suffix)
        self._shards.append(len(self.samples) - 1)
        self._spans.append(spans)
        self.samples[-1] += 1

    def close(self) -> dict[str, list[int]]:
        """Finish the last shard and write the index; samples and bytes of each shard."""
        self._finish_shard()
        shard = np.array(self._shards, dtype=np.int32)
        spans = np.array(self._spans, dtype=np.int64).reshape(-1, len(KINDS), 2)
        index = ShardIndex(self._stems, self._suffixes, shard, spans)
        (self.folder / "index.npz").write_bytes(index.to_bytes())
        return {"samples": self.samples, "bytes": self.bytes}

    def _finish_shard(self) -> None:
        if self._tar is not None:
            self._tar.close()
            self.bytes.append(os.path.getsize(self.folder / shard_name(len(self.samples) - 1)))


def _packed(dataset: PairedDataset, order: np.ndarray, place: int) -> tuple[str, str, list[bytes]] | Fault:
    """Of the sample order[place] the stem, the photo's suffix and the contents, its maps as PNGs of ids."""
    index = int(order[place])
    entry = dataset.entries[index]
    try:
        photo, labels, instances = dataset.load(index)
        dataset.to_index(entry, labels)
        suffix = os.path.splitext(entry.photo)[1].lower()
        if suffix in PHOTO_SUFFIXES:
            contents = [dataset.content(entry.photo), encode_ids(labels)]
        else:
            suffix, contents = ".png", [encode_png(photo), encode_ids(labels)]
    except CorruptSample as error:
        return dataset.fault(error)
    if instances is not None:
        contents.append(encode_ids(narrow_instances(instances)))
    return entry.stem, suffix, contents
