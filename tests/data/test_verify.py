"""The look before a run: what it refuses, what it lets pass, and how much of a long set it decodes."""

from pathlib import Path

import numpy as np
import pytest
from dataset_files import coco, make_folder, write_jpeg, write_png
from PIL import Image

from ccfpse.data import open_dataset
from ccfpse.data import verify as verifying
from ccfpse.data.dataset import PairedDataset
from ccfpse.data.sampler import SampleOrder
from ccfpse.data.shard_writer import write_shards
from ccfpse.data.verify import verify
from damaged_files import damage


def cut(path: Path, by: int = 20) -> None:
    path.write_bytes(path.read_bytes()[:-by])


def test_broken_files_are_named_together(tmp_path: Path) -> None:
    make_folder(tmp_path, count=6, instances=True)
    cut(tmp_path / "train/images/photo1.jpg", 200)
    cut(tmp_path / "train/labels/photo2.png")
    (tmp_path / "train/instances/photo3.png").write_bytes(b"")
    write_jpeg(tmp_path / "train/images/photo4.jpg", (13, 20))
    with pytest.raises(ValueError, match="4 faults") as raised:
        verify(open_dataset(tmp_path))
    for file in ("images/photo1.jpg", "labels/photo2.png", "instances/photo3.png", "images/photo4.jpg"):
        assert f"train/{file}: " in str(raised.value)
    verify(open_dataset(tmp_path), first=5, step=6)  # another process's share is sound


def test_label_maps_that_only_decoding_finds(tmp_path: Path) -> None:
    make_folder(tmp_path, count=5)
    ids = np.zeros((12, 20), np.uint8)
    labels = tmp_path / "train/labels"
    write_png(labels / "photo1.png", np.dstack([ids, ids, ids + 1]))
    Image.fromarray(ids).save(labels / "photo2.png", "JPEG")
    ids[0, :6] = 77
    write_png(labels / "photo3.png", ids)
    with pytest.raises(ValueError, match="3 faults") as raised:
        verify(open_dataset(tmp_path))
    for message in (
        "labels/photo1.png: label map has mode RGB",
        "labels/photo2.png: label map is a JPEG",
        "labels/photo3.png: label id 77 (6 pixels), but the classes are 0..2 (door)",
    ):
        assert f"train/{message}" in str(raised.value)


def test_damage_that_only_decoding_finds(tmp_path: Path) -> None:
    make_folder(tmp_path, count=4, instances=True)
    noise = np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)
    (tmp_path / "train/images/photo1.jpg").unlink()
    write_png(tmp_path / "train/images/photo1.png", noise)
    write_png(tmp_path / "train/instances/photo2.png", noise[..., 0])
    for file in ("images/photo1.png", "instances/photo2.png"):
        damage(tmp_path / "train" / file)
    with pytest.raises(ValueError, match="2 faults") as raised:
        verify(open_dataset(tmp_path))
    for file in ("images/photo1.png", "instances/photo2.png"):
        assert f"train/{file}: " in str(raised.value)


def test_of_long_sets_an_even_spread_of_samples_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_folder(tmp_path, count=9, instances=True)
    (tmp_path / "train/images/photo1.jpg").unlink()
    Image.new("RGB", (20, 12)).save(tmp_path / "train/images/photo1.webp")
    dataset, decoded, load = open_dataset(tmp_path), [], PairedDataset.load
    monkeypatch.setattr(verifying, "DECODED", 5)  # of nine: every second, shared by two processes
    monkeypatch.setattr(PairedDataset, "load", lambda self, index: decoded.append(index) or load(self, index))
    for rank, share in ((0, [0, 4, 8]), (1, [1, 5])):
        decoded.clear()
        verify(dataset, first=rank, step=2)
        assert sorted(decoded) == share
    cut(tmp_path / "train/images/photo1.webp")  # the others only where there is a doubt
    with pytest.raises(ValueError, match=r"1 fault .*\n  train/images/photo1\.webp: "):
        verify(dataset)


def test_odd_but_readable_files_pass(tmp_path: Path) -> None:
    make_folder(tmp_path, count=2)
    photo = tmp_path / "train/images/photo0.jpg"
    photo.write_bytes(photo.read_bytes() + b"\0\0\0\0")  # cameras pad
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying, shown upright, as its label map is
    Image.new("RGB", (20, 12)).save(tmp_path / "train/images/photo1.jpg", exif=exif)
    write_png(tmp_path / "train/labels/photo1.png", np.zeros((20, 12), np.uint8))
    verify(open_dataset(tmp_path))


def test_shards_and_segments_of_coco_json_are_read(tmp_path: Path) -> None:
    verify(open_dataset(coco(tmp_path / "coco")))
    cut(tmp_path / "coco/train2017/a.jpg", 200)
    with pytest.raises(ValueError, match=r"1 fault .*\n  train2017/a\.jpg: "):
        verify(open_dataset(tmp_path / "coco"))
    make_folder(tmp_path / "source")
    write_shards(tmp_path / "source", tmp_path / "shards")
    verify(open_dataset(tmp_path / "shards"))
    tar = tmp_path / "shards/train/000000.tar"
    content = tar.read_bytes()
    tar.write_bytes(content.replace(b"\xff\xd8", b"\0\0", 1))
    with pytest.raises(ValueError, match=r"1 fault .*\n  train/000000\.tar/00000000-photo2\.photo\.jpg: "):
        verify(open_dataset(tmp_path / "shards"))


def test_a_stand_in_is_the_next_of_the_order() -> None:
    order = SampleOrder(5, seed=1)
    walk = [order.index(position) for position in range(20)]
    assert list(order.candidates(3, 2)) == walk[3:5]
    everything = list(order.candidates(3, 100))
    assert everything[0] == walk[3]
    assert sorted(everything) == [0, 1, 2, 3, 4]
