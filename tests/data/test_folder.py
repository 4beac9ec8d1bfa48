import errno
import os
import re
from pathlib import Path

import numpy as np
import pytest
from dataset_files import CLASSES, make_folder, write_jpeg, write_png
from PIL import Image

from ccfpse.data import CorruptSample, FolderDataset, PairedTransform
from shared_files import shared_path


def test_a_sound_folder(tmp_path: Path) -> None:
    dataset = FolderDataset(make_folder(tmp_path, count=3, instances=True))
    assert len(dataset) == 3
    assert dataset.stems == ["photo0", "photo1", "photo2"]
    assert dataset.has_instances
    assert dataset.label_space.names == ("sky", "wall", "door")
    photo, labels, instances = dataset.load(1)
    assert photo.size == (20, 12)
    assert (labels[0, :2].tolist(), labels[0, -1]) == ([0, 0], 255)
    assert instances is not None
    assert (instances[0, 0], instances[-1, -1]) == (300, 304)


def test_sample_holds_channel_numbers(tmp_path: Path) -> None:
    sample = FolderDataset(make_folder(tmp_path), transform=PairedTransform((12, 10))).sample(0)
    assert sample.stem == "photo0"
    assert (sample.photo.shape, sample.photo.dtype) == ((12, 10, 3), np.uint8)
    assert sample.labels.dtype == np.int64
    # columns 1 3 5 | 7 9 11 13 | 15 17 | and the unlabelled 19
    assert sample.labels[0].tolist() == [0, 0, 0, 1, 1, 1, 1, 2, 2, 3]
    assert sample.instances is None


def test_sixteen_bit_classes_non_square_photos_no_instances(tmp_path: Path) -> None:
    names = [f"class {i}" for i in range(300)]
    make_folder(tmp_path, size=(9, 600), classes={"names": names, "ignore": 65535})
    sample = FolderDataset(tmp_path, transform=PairedTransform((9, 600))).sample(0, np.random.default_rng(0))
    assert sample.labels[0, 0] == 0
    assert sample.labels[0, 597] == 298
    assert sample.labels[0, 599] == 300


def test_extensions_in_any_case(tmp_path: Path) -> None:
    make_folder(tmp_path, count=1)
    write_png(tmp_path / "train/images/B.PNG", np.zeros((12, 20, 3), dtype=np.uint8))
    write_png(tmp_path / "train/labels/B.PNG", np.zeros((12, 20), dtype=np.uint8))
    for hidden in (".DS_Store", "._B.png", "Thumbs.db"):
        (tmp_path / "train/images" / hidden).touch()
    write_jpeg(tmp_path / "train/images/.thumbnails/photo0.jpg", (4, 4))
    dataset = FolderDataset(tmp_path)
    assert dataset.stems == ["B", "photo0"]
    dataset.sample(0)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("no label", r"train/images/photo1\.jpg: has no label map; add it to train/labels"),
        ("no photo", r"train/labels/photo1\.png: has no photo; add it to train/images"),
        ("no instances", r"train/images/photo1\.jpg: has no instance map; add it to train/instances"),
        ("double", r"train/images/photo1\.png: same name as train/images/photo1\.jpg"),
        ("strange", r"train/images/photo1\.bmp: unexpected file"),
        ("jpeg label", r"train/labels/photo1\.jpg: unexpected file"),
    ],
)
def test_files_that_do_not_pair_up(tmp_path: Path, fault: str, message: str) -> None:
    make_folder(tmp_path, instances=True)
    train = tmp_path / "train"
    if fault == "no label":
        (train / "labels/photo1.png").unlink()
    elif fault == "no photo":
        (train / "images/photo1.jpg").unlink()
    elif fault == "no instances":
        (train / "instances/photo1.png").unlink()
    elif fault == "double":
        write_png(train / "images/photo1.png", np.zeros((12, 20, 3), dtype=np.uint8))
    elif fault == "strange":
        (train / "images/photo1.jpg").rename(train / "images/photo1.bmp")
    elif fault == "jpeg label":
        write_jpeg(train / "labels/photo1.jpg", (12, 20))
    with pytest.raises(ValueError, match=message):
        FolderDataset(tmp_path)


@pytest.mark.parametrize(
    ("photo", "labels", "told"),
    [
        (
            "p1.jpg",
            "p1_mask.png",
            r"p1\.jpg: has no label map of its name; train/labels/p1_mask\.png may be it",
        ),
        ("p1.jpg", "p1.jpg.png", r"labels/p1\.jpg\.png may be it; rename that to p1\.png"),
        ("cafe\u0301.jpg", "caf\u00e9.png", r"are spelt in different characters .*; rename one as the other"),
        ("p1.heic", "p1.png", r"p1\.heic: unexpected file \(a photo here ends in \.jpg"),
        ("p1.jpg", "p10_mask.png", r"p1\.jpg: has no label map; add it to train/labels"),
    ],
)
def test_what_is_named_differently_is_told_once(tmp_path: Path, photo: str, labels: str, told: str) -> None:
    train = make_folder(tmp_path) / "train"
    (train / "images/photo1.jpg").rename(train / "images" / photo)
    (train / "labels/photo1.png").rename(train / "labels" / labels)
    faults = FolderDataset(tmp_path, strict=False).faults
    assert re.search(told, "\n".join(map(str, faults)))
    assert len(faults) == 1 + ("p10" in labels)


def test_many_faults_are_counted(tmp_path: Path) -> None:
    make_folder(tmp_path, count=9)
    for i in range(8):
        (tmp_path / f"train/labels/photo{i}.png").unlink()
    with pytest.raises(ValueError, match=r"8 faults .`ccfpse data check` lists all.(.|\n)*and 3 more"):
        FolderDataset(tmp_path)


def test_missing_and_empty_folders(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"nowhere: no split 'train' .*; expected classes\.json, SPLIT/images"
    ):
        FolderDataset(tmp_path / "nowhere")
    make_folder(tmp_path, splits=("train", "holdout"))
    with pytest.raises(ValueError, match=r"no split 'val' of a data set folder; it has train, holdout"):
        FolderDataset(tmp_path, "val")
    (tmp_path / "val/images").mkdir(parents=True)
    with pytest.raises(ValueError, match="val/images: no photos here"):
        FolderDataset(tmp_path, "val")
    write_jpeg(tmp_path / "val/images/a.jpg", (4, 4))
    with pytest.raises(ValueError, match="val/labels: no label maps here"):
        FolderDataset(tmp_path, "val")


def test_missing_classes(tmp_path: Path) -> None:
    make_folder(tmp_path)
    (tmp_path / "classes.json").unlink()
    with pytest.raises(ValueError, match=r"classes\.json: no such file; write one like"):
        FolderDataset(tmp_path)


def test_faults_can_be_collected_instead(tmp_path: Path) -> None:
    make_folder(tmp_path)
    (tmp_path / "train/labels/photo1.png").unlink()
    dataset = FolderDataset(tmp_path, strict=False)
    assert dataset.stems == ["photo0", "photo2"]
    assert [fault.file for fault in dataset.faults] == ["train/images/photo1.jpg"]


def test_sub_folders(tmp_path: Path) -> None:
    make_folder(tmp_path, count=2)
    for kind, name in [("images", "photo1.jpg"), ("labels", "photo1.png")]:
        (tmp_path / "train" / kind / "more").mkdir()
        (tmp_path / "train" / kind / name).rename(tmp_path / "train" / kind / "more" / name)
    dataset = FolderDataset(tmp_path)
    assert dataset.entries[1].photo == "train/images/more/photo1.jpg"
    dataset.sample(1)


def test_palettes_of_colours_are_refused_wherever_labels_are_read(tmp_path: Path) -> None:
    """Entry 0 has the colour of the last class, and so on: the entries number colours, not classes."""
    space = FolderDataset(make_folder(tmp_path)).label_space
    for path in (tmp_path / "train/labels").iterdir():
        image = Image.fromarray(np.array(Image.open(path)).clip(0, 2))
        image.putpalette([part for color in reversed(space.colors) for part in color])
        image.save(path)
    with pytest.raises(CorruptSample, match="its palette gives id 0 the colour of 'door'"):
        FolderDataset(tmp_path).sample(0)


def test_hidden_folders_are_no_splits(tmp_path: Path) -> None:
    make_folder(tmp_path)
    for name in (".cache", "__MACOSX"):
        (tmp_path / name / "images").mkdir(parents=True)
    assert FolderDataset.splits(tmp_path) == ["train"]


def test_sub_folders_that_cannot_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_folder(tmp_path)
    closed = tmp_path / "train/images/closed"
    closed.mkdir()
    scandir = os.scandir

    def refuse(path: str) -> object:
        if str(path) == str(closed):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)  # root may list everything
    with pytest.raises(ValueError, match=r"train/images/closed: cannot be listed \(Permission denied\)"):
        FolderDataset(tmp_path)


def test_linked_sub_folders(tmp_path: Path) -> None:
    make_folder(tmp_path / "elsewhere", count=2)
    make_folder(tmp_path / "set", count=0)
    for kind in ("images", "labels"):
        (tmp_path / "set/train" / kind).mkdir(parents=True)
        (tmp_path / "set/train" / kind / "more").symlink_to(tmp_path / "elsewhere/train" / kind)
        (tmp_path / "elsewhere/train" / kind / "back").symlink_to(tmp_path / "set/train" / kind)
    dataset = FolderDataset(tmp_path / "set")
    assert [entry.photo for entry in dataset.entries] == [f"train/images/more/photo{i}.jpg" for i in (0, 1)]
    dataset.sample(1)


def test_a_file_that_vanishes(tmp_path: Path) -> None:
    dataset = FolderDataset(make_folder(tmp_path))
    (tmp_path / "train/images/photo2.jpg").unlink()
    with pytest.raises(CorruptSample, match=r"photo2\.jpg: cannot be read"):
        dataset.sample(2)


def test_maps_of_another_size(tmp_path: Path) -> None:
    make_folder(tmp_path, instances=True)
    write_png(tmp_path / "train/labels/photo0.png", np.zeros((12, 19), dtype=np.uint8))
    write_png(tmp_path / "train/instances/photo1.png", np.zeros((11, 20), dtype=np.uint8))
    dataset = FolderDataset(tmp_path)
    with pytest.raises(CorruptSample, match=r"photo0\.jpg: photo is 12×20 .* label map is 12×19"):
        dataset.sample(0)
    with pytest.raises(
        CorruptSample, match=r"instances/photo1\.png: instance map is 11×20 .* label map 12×20"
    ):
        dataset.sample(1)
    dataset.sample(2)


def test_an_id_beyond_the_classes_is_found_outside_the_crop_too(tmp_path: Path) -> None:
    make_folder(tmp_path, size=(40, 40))
    labels = np.zeros((40, 40), dtype=np.uint8)
    labels[0, 0] = 3
    write_png(tmp_path / "train/labels/photo0.png", labels)
    dataset = FolderDataset(tmp_path, transform=PairedTransform((8, 8), (40, 40), crop="center"))
    with pytest.raises(CorruptSample, match=r"labels/photo0\.png: label id 3 \(1 pixel\)"):
        dataset.sample(0)


def test_exif_photo_fits_labels_drawn_over_the_display(tmp_path: Path) -> None:
    make_folder(tmp_path, count=1, size=(20, 12))
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (20, 12)).save(tmp_path / "train/images/photo0.jpg", exif=exif)
    photo, labels, _ = FolderDataset(tmp_path).load(0)
    assert photo.size == (12, 20)
    assert labels.shape == (20, 12)


def test_the_facades() -> None:
    root = shared_path("data", "facades-384")
    dataset = FolderDataset(root, "val", PairedTransform((128, 128), (143, 143), flip=True))
    assert len(dataset) == 58
    assert dataset.has_instances
    assert dataset.label_space.classes == 11 != len(CLASSES["names"])
    sample = dataset.sample(0, np.random.default_rng(0))
    assert sample.photo.shape == (128, 128, 3)
    assert set(np.unique(sample.labels)) <= set(range(12))
