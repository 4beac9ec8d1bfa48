import gc
import io
import json
import os
import pickle
import shutil
import sys
import tarfile
from itertools import accumulate
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from dataset_files import ade20k, coco, make_folder, write_png
from PIL import Image

from ccfpse.data import CorruptSample, FolderDataset, PairedTransform, SampleOrder, open_dataset
from ccfpse.data.check import check_dataset
from ccfpse.data.convert import convert
from ccfpse.data.shard_writer import write_shards
from ccfpse.data.shards import ShardDataset, read_span
from ccfpse.data.verify import verify


def numbered_set(root: Path, count: int = 12, instances: bool = True) -> Path:
    """Photos told apart by their colour and the label of the first pixel; every second name has a dot."""
    make_folder(root, count=0, instances=instances)
    for i in range(count):
        stem = f"photo.{i}" if i % 2 else f"photo_{i}"
        write_png(root / f"train/images/{stem}.png", np.full((6, 8, 3), 10 * i, dtype=np.uint8))
        labels = np.full((6, 8), 255, dtype=np.uint8)
        labels[0, 0] = i % 3
        write_png(root / f"train/labels/{stem}.png", labels)
        if instances:
            write_png(root / f"train/instances/{stem}.png", np.full((6, 8), 1000 + i, dtype=np.uint16))
    return root


def packed(tmp_path: Path, **options: object) -> Path:
    result = write_shards(numbered_set(tmp_path / "set"), tmp_path / "shards", **options)
    assert result.sound
    return tmp_path / "shards"


def small_shards(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Shards of a few kilobytes instead of megabytes."""
    from ccfpse.data import shard_writer

    original = shard_writer.ShardWriter.__init__
    monkeypatch.setattr(
        shard_writer.ShardWriter, "__init__", lambda self, folder, _: original(self, folder, size)
    )


def test_every_sample_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_shards(monkeypatch, 10_000)
    dataset = open_dataset(packed(tmp_path))
    assert isinstance(dataset, ShardDataset)
    original = FolderDataset(tmp_path / "set")
    assert sorted(dataset.stems) == sorted(original.stems)
    assert dataset.stems != original.stems  # shuffled while packing
    assert dataset.label_space == original.label_space
    assert dataset.has_instances
    assert dataset.groups is not None
    assert len(dataset.groups) > 2
    assert sum(dataset.groups) == len(dataset) == 12
    for index, stem in enumerate(dataset.stems):
        number = int(stem[6:])
        sample = dataset.sample(index)
        assert sample.photo[0, 0].tolist() == [10 * number] * 3
        assert sample.labels[0, 0] == number % 3
        assert sample.labels[0, 1] == 3
        assert sample.instances is not None
        assert sample.instances[0, 0] == 1000 + number


def test_the_same_transform_and_order_as_a_folder(tmp_path: Path) -> None:
    root = packed(tmp_path)
    transform = PairedTransform((4, 4), (6, 8), flip=True)
    shards, folder = (
        ShardDataset(root, transform=transform),
        FolderDataset(tmp_path / "set", transform=transform),
    )
    order = SampleOrder(len(shards), seed=5, groups=shards.groups)
    for position in (0, 7, 31):
        index = order.index(position)
        ours = shards.sample(index, order.rng(position))
        theirs = folder.sample(folder.stems.index(ours.stem), order.rng(position))
        assert (ours.photo == theirs.photo).all()
        assert (ours.labels == theirs.labels).all()


def test_without_instances_and_from_other_layouts(tmp_path: Path) -> None:
    assert write_shards(ade20k(tmp_path / "ade"), tmp_path / "shards").written == {"train": 1, "val": 1}
    assert ShardDataset.splits(tmp_path / "shards") == ["train", "val"]
    dataset = ShardDataset(tmp_path / "shards", "val")
    assert not dataset.has_instances
    assert dataset.load(0)[1][0].tolist() == [255, 0, 1, 148, 149]
    assert len(dataset.label_space) == 150


def test_they_are_ordinary_tars_with_an_index_of_true_offsets(tmp_path: Path) -> None:
    root = packed(tmp_path)
    with tarfile.open(root / "train/000000.tar") as tar:
        members = tar.getmembers()
        assert len(members) == 36
        first = ShardDataset(root).entries[0]
        assert members[0].name == first.photo.rpartition("/")[2]
        assert [member.name.split(".", 1)[1] for member in members[:3]] == [
            "photo.png",
            "labels.png",
            "instances.png",
        ]
        file = tar.extractfile(members[1])
        assert file is not None
        assert file.read() == ShardDataset(root).content(first.labels)
        index = ShardDataset(root).index
        offsets = [member.offset_data for member in members]
        assert index.spans[:, :, 0].ravel().tolist() == offsets


# webdataset leaves the tar open
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_webdataset_reads_them(tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    root = packed(tmp_path)
    samples = list(webdataset.WebDataset(str(root / "train/000000.tar"), shardshuffle=False))
    dataset = ShardDataset(root)
    assert len(samples) == 12
    for index, sample in enumerate(samples):
        with Image.open(io.BytesIO(sample["labels.png"])) as labels:
            assert labels.mode == "L"
            assert (np.asarray(labels) == dataset.load(index)[1]).all()
        assert {"photo.png", "labels.png", "instances.png"} <= set(sample)
    gc.collect()


def test_urls(tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    root = packed(tmp_path)
    memory = fsspec.filesystem("memory")
    for file in root.rglob("*"):
        if file.is_file():
            memory.pipe_file(f"/bucket/{file.relative_to(root)}", file.read_bytes())
    local, remote = ShardDataset(root), open_dataset("memory://bucket")
    assert remote.stems == local.stems
    assert (remote.sample(3).photo == local.sample(3).photo).all()
    assert ShardDataset.splits("memory://elsewhere") == []
    memory.rm("/bucket/train/000000.tar")
    with pytest.raises(CorruptSample, match=r"memory://bucket/train/000000.tar: cannot be read"):
        open_dataset("memory://bucket").sample(0)
    with pytest.raises(ValueError, match="nonsense"):
        open_dataset("nonsense://bucket")


def test_servers_that_ignore_ranges_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsspec = pytest.importorskip("fsspec")
    root = packed(tmp_path)
    memory = fsspec.filesystem("memory")
    memory.put(f"{root}/", "/whole/", recursive=True)
    dataset = open_dataset("memory://whole")
    ranged = type(memory).cat_file
    monkeypatch.setattr(type(memory), "cat_file", lambda self, path, **_: ranged(self, path))
    size = (root / "train/000000.tar").stat().st_size
    for index in (0, 5):
        with pytest.raises(
            CorruptSample, match=rf"000000\.tar: .*sent {size} bytes where \d+ were"
        ) as caught:
            dataset.sample(index)
        assert "serves ranges of bytes" in caught.value.cure


def test_before_a_run_the_end_of_every_remote_shard_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_shards(monkeypatch, 10_000)
    root = packed(tmp_path)
    dataset, read, content = open_dataset(f"file://{root}"), set(), ShardDataset.content
    assert dataset.groups is not None
    monkeypatch.setattr(ShardDataset, "content", lambda self, file: read.add(file) or content(self, file))
    verify(dataset)
    assert {int(file.split("/")[-1].split("-")[0]) + 1 for file in read} == set(accumulate(dataset.groups))
    (root / "train/000001.tar").unlink()
    tar = root / "train/000002.tar"
    tar.write_bytes(tar.read_bytes()[:4000])
    with pytest.raises(ValueError, match="2 faults") as raised:
        verify(open_dataset(f"file://{root}"))  # opened anew: threads keep what they read last
    for fault in ("000001.tar: cannot be read (No such file", "000002.tar: cannot be read (ends before byte"):
        assert f"train/{fault}" in str(raised.value)


def test_photos_of_other_formats_become_pngs(tmp_path: Path) -> None:
    source = coco(tmp_path / "coco")
    file = source / "annotations/instances_train2017.json"
    file.write_text(file.read_text().replace('"a.jpg"', '"a"').replace('"b.jpg"', '"b.tif"'))
    (source / "train2017/a.jpg").rename(source / "train2017/a")
    Image.open(source / "train2017/b.jpg").save(source / "train2017/b.tif")
    assert write_shards(source, tmp_path / "shards").written == {"train": 2}
    dataset, original = ShardDataset(tmp_path / "shards"), open_dataset(source)
    assert {entry.photo[-10:] for entry in dataset.entries} == {".photo.png"}
    for index, stem in enumerate(dataset.stems):
        photo = original.sample(original.stems.index(stem)).photo
        assert (dataset.sample(index).photo == photo).all()


@pytest.mark.skipif(sys.platform != "linux", reason="file systems elsewhere refuse such names")
def test_names_that_are_no_text(tmp_path: Path) -> None:
    make_folder(tmp_path / "set", count=1)
    name = os.fsdecode(b"fa\xe7ade\nof a house")
    for folder, suffix in (("images", "jpg"), ("labels", "png")):
        file = tmp_path / f"set/train/{folder}/photo0.{suffix}"
        file.rename(file.with_name(f"{name}.{suffix}"))
    assert write_shards(tmp_path / "set", tmp_path / "shards").sound
    dataset = ShardDataset(tmp_path / "shards")
    assert dataset.stems == [name.replace("\n", " ")]
    assert dataset.sample(0).photo.shape == (12, 20, 3)
    with tarfile.open(tmp_path / "shards/train/000000.tar") as tar:
        assert tar.getnames()[0] == f"00000000-{name}.photo.jpg"


def test_a_split_that_training_does_not_read_may_lack_labels(tmp_path: Path) -> None:
    source = make_folder(tmp_path / "set", splits=("train", "test"))
    shutil.rmtree(source / "test/labels")
    result = write_shards(source, tmp_path / "shards")
    assert (result.sound, result.written) == (True, {"train": 3})
    assert result.notes[0].startswith("test is left out, training does not read it: ")
    assert ShardDataset.splits(tmp_path / "shards") == ["train"]
    assert list(convert("remap", source, tmp_path / "out", ids="0:1").written) == ["train"]


def test_datasets_travel_to_worker_processes(tmp_path: Path) -> None:
    dataset = ShardDataset(packed(tmp_path))
    dataset.sample(0)
    copy = pickle.loads(pickle.dumps(dataset))
    assert (copy.sample(2).photo == dataset.sample(2).photo).all()


def test_damaged_shards(tmp_path: Path) -> None:
    root = packed(tmp_path)
    tar = root / "train/000000.tar"
    whole = tar.read_bytes()
    opened = ShardDataset(root)
    tar.write_bytes(whole[:20_000])
    with pytest.raises(
        ValueError, match=r"train/000000.tar: holds 20000 bytes, but should hold \d+; copy it"
    ):
        ShardDataset(root)
    opened.sample(0)
    with pytest.raises(CorruptSample, match=r"cannot be read \(ends before byte \d+\)"):
        opened.sample(11)
    assert not check_dataset(root).sound
    tar.unlink()
    with pytest.raises(CorruptSample, match="cannot be read"):
        opened.sample(5)
    tar.write_bytes(whole)
    assert check_dataset(root).sound
    index = root / "train/index.npz"
    content = index.read_bytes()
    changed = [content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :] for at in range(len(content))]
    told = 0
    for broken in (b"PK", *changed):
        index.write_bytes(broken)
        try:
            ShardDataset(root)  # some bytes matter to nobody
        except ValueError as error:
            told += "index.npz: damaged; copy it again" in str(error)
    assert told > len(content) // 2
    (root / "train/index.npz").unlink()
    with pytest.raises(ValueError, match=r"index.npz: cannot be read"):
        ShardDataset(root)


def test_descriptions_that_are_none(tmp_path: Path) -> None:
    root = packed(tmp_path)
    (root / "classes.json").write_text("{}")
    with pytest.raises(ValueError, match=r"classes.json: .names. must be"):
        ShardDataset(root)
    description = json.loads((root / "shards.json").read_text())
    (root / "shards.json").write_text(json.dumps({**description, "version": 9}))
    with pytest.raises(ValueError, match=r"shards.json: version 9, but this program reads version 1"):
        open_dataset(root)
    (root / "shards.json").write_text('{"version": 1}')
    with pytest.raises(ValueError, match=r"shards.json: not a description of shards"):
        open_dataset(root)
    (root / "shards.json").write_text("[1")
    with pytest.raises(ValueError, match=r"shards.json: not a description of shards"):
        open_dataset(root)


def test_the_order_of_packing_is_the_seeds(tmp_path: Path) -> None:
    source = numbered_set(tmp_path / "set")
    tars = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_shards(source, tmp_path / name, seed=seed, workers=2)
        tars.append((tmp_path / name / "train/000000.tar").read_bytes())
    assert tars[0] == tars[1] != tars[2]


def test_broken_samples_are_left_out_and_listed(tmp_path: Path) -> None:
    source = numbered_set(tmp_path / "set")
    (source / "train/images/photo_4.png").write_bytes(b"broken")
    write_png(source / "train/labels/photo.5.png", np.full((6, 8), 3, dtype=np.uint8))
    result = write_shards(source, tmp_path / "shards")
    assert {fault.file for fault in result.faults} == {"train/images/photo_4.png", "train/labels/photo.5.png"}
    assert result.written == {"train": 10}
    assert len(ShardDataset(tmp_path / "shards")) == 10


def test_destinations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = packed(tmp_path)
    with pytest.raises(ValueError, match="shards: not empty; write to a new folder"):
        write_shards(tmp_path / "set", root)
    small_shards(monkeypatch, 10_000)
    write_shards(tmp_path / "set", root, overwrite=True)
    monkeypatch.undo()
    assert len(list(root.glob("train/*.tar"))) > 2
    write_shards(tmp_path / "set", root, overwrite=True)
    assert len(list(root.glob("train/*.tar"))) == 1
    with pytest.raises(ValueError, match="holds no shards that could be overwritten"):
        write_shards(root, tmp_path / "set", overwrite=True)


def test_interrupted_packing_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = numbered_set(tmp_path / "set")

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ccfpse.data.shard_writer.json", SimpleNamespace(dumps=interrupted))
    with pytest.raises(KeyboardInterrupt):
        write_shards(source, tmp_path / "shards")
    monkeypatch.undo()
    assert not ShardDataset.splits(tmp_path / "shards")
    write_shards(source, tmp_path / "shards", overwrite=True)
    assert sorted(path.name for path in (tmp_path / "shards").iterdir()) == [
        "classes.json",
        "shards.json",
        "train",
    ]


def test_shards_are_not_packed_over_themselves(tmp_path: Path) -> None:
    root = packed(tmp_path)
    (tmp_path / "link").symlink_to(root)
    for other_name in (root, tmp_path / "link"):
        with pytest.raises(ValueError, match="is the source itself"):
            write_shards(root, other_name, overwrite=True)
    assert len(open_dataset(root)) == 12
    open_dataset(root).sample(0)


def test_spans_of_files(tmp_path: Path) -> None:
    (tmp_path / "ten").write_bytes(b"0123456789")
    assert read_span(str(tmp_path / "ten")) == b"0123456789"
    assert read_span(str(tmp_path / "ten"), 2, 5) == b"234"
    with pytest.raises(OSError, match="ends before byte 12"):
        read_span(str(tmp_path / "ten"), 8, 12)
