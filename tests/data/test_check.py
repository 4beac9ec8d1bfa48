import io
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from dataset_files import CLASSES, make_folder, write_jpeg, write_png
from PIL import Image
from rich.console import Console

from ccfpse.data import FolderDataset, open_dataset
from ccfpse.data.check import Report, check_dataset
from ccfpse.data.contact_sheet import share_text
from ccfpse.data.convert import convert
from ccfpse.data.shard_writer import write_shards
from ccfpse.data.verify import verify
from shared_files import shared_path


def rendered(report: Report) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(report)
    return console.file.getvalue()


def test_a_sound_set(tmp_path: Path) -> None:
    report = check_dataset(make_folder(tmp_path, count=4, splits=("train", "val"), instances=True))
    assert report.sound
    assert report.photos == {"train": 4, "val": 4}
    assert report.sizes == {(12, 20): 8}
    assert report.has_instances
    # 12×20: columns 0-6 sky, 7-13 wall, 14-18 door, 19 without a class; in 8 photos
    assert report.pixels.tolist() == [8 * 12 * 7, 8 * 12 * 7, 8 * 12 * 5, 8 * 12]
    assert report.holders.tolist() == [8, 8, 8, 8]
    assert report.shares.tolist() == [0.35, 0.35, 0.25, 0.05]
    assert report.unlabelled_share == 0.05
    text = rendered(report)
    assert "4 train, 4 val · all 12×20 · 3 classes · with instances" in text
    assert "No faults." in text
    assert "35.0 %" in text


def test_all_faults_are_listed_with_file_and_cure(tmp_path: Path) -> None:
    make_folder(tmp_path, count=8, splits=("train", "val"), instances=True)
    train = tmp_path / "train"
    (train / "labels/photo0.png").unlink()
    cut = train / "images/photo1.jpg"
    cut.write_bytes(cut.read_bytes()[:-200])
    write_png(train / "labels/photo1.png", np.full((12, 20), 3, dtype=np.uint8))
    write_png(train / "labels/photo2.png", np.zeros((12, 20, 3), dtype=np.uint8))
    write_png(train / "labels/photo3.png", np.zeros((20, 12), dtype=np.uint8))
    (train / "instances/photo4.png").write_bytes(b"nothing")
    write_png(train / "instances/photo5.png", np.zeros((11, 20), dtype=np.uint16))
    write_jpeg(tmp_path / "val/images/extra.tiff", (12, 20))
    report = check_dataset(tmp_path, workers=2)
    assert not report.sound
    found = [(fault.file, fault.what) for fault in report.faults]
    for file, what in [
        ("train/images/photo0.jpg", "has no label map"),
        ("train/images/photo1.jpg", "cannot be decoded as a photo"),
        ("train/labels/photo1.png", "label id 3 (240 pixels)"),
        ("train/labels/photo2.png", "mode RGB"),
        ("train/images/photo3.jpg", "photo is 12×20 (H×W), but its label map is 20×12"),
        ("train/instances/photo3.png", "instance map is 12×20 (H×W), its label map 20×12"),
        ("train/instances/photo4.png", "not a known image format"),
        ("train/instances/photo5.png", "instance map is 11×20"),
        ("val/images/extra.tiff", "unexpected file"),
    ]:
        assert sum(name == file and what in sentence for name, sentence in found) == 1, (file, what)
    assert len(found) == 9
    assert all(fault.cure for fault in report.faults)
    text = rendered(report)
    assert "9 faults" in text
    assert "train/labels/photo1.png: label id 3 (240 pixels)" in text


def test_an_empty_split_is_a_fault(tmp_path: Path) -> None:
    make_folder(tmp_path)
    (tmp_path / "val/images").mkdir(parents=True)
    faults = check_dataset(tmp_path).faults
    assert [(fault.file, fault.what) for fault in faults] == [
        ("val/images", "no photos here (names end in .jpg, .jpeg, .png, .webp)"),
        ("val/labels", "no label maps here (names end in .png)"),
    ]


def test_instances_in_train_only_are_a_fault(tmp_path: Path) -> None:
    make_folder(tmp_path, splits=("train", "val"), instances=True)
    shutil.rmtree(tmp_path / "val/instances")
    (fault,) = check_dataset(tmp_path).faults
    assert (fault.file, fault.what) == ("val", "has no instance maps, but train has")
    assert "--data.instances=false" in fault.cure
    assert check_dataset(tmp_path, splits=["train"]).sound
    (tmp_path / "val").rename(tmp_path / "test")  # which training does not read
    assert check_dataset(tmp_path).sound


def test_instances_in_val_only_are_not_used(tmp_path: Path) -> None:
    make_folder(tmp_path, splits=("train", "val"), instances=True)
    shutil.rmtree(tmp_path / "train/instances")
    report = check_dataset(tmp_path)
    assert report.sound
    assert "val has instance maps, which no training uses, since train has none" in report.notes


def test_without_a_train_split_nothing_can_be_trained(tmp_path: Path) -> None:
    make_folder(tmp_path, splits=("val",))
    report = check_dataset(tmp_path)
    assert [str(fault) for fault in report.faults] == [
        "train: no such split; training needs it; name a split so"
    ]
    assert "No faults" not in rendered(report)


def test_a_split_that_training_never_reads_may_lack_labels(tmp_path: Path) -> None:
    make_folder(tmp_path, splits=("train", "val", "test"))
    shutil.rmtree(tmp_path / "test/labels")
    report = check_dataset(tmp_path)
    assert report.sound
    assert report.photos == {"train": 3, "val": 3}
    assert report.notes[0].startswith(
        "test is left out, training does not read it: test/labels: no label maps"
    )
    make_folder(tmp_path, splits=("test",))
    (tmp_path / "test/labels/photo1.png").write_bytes(b"broken")
    assert [fault.file for fault in check_dataset(tmp_path).faults] == ["test/labels/photo1.png"]


def indexed(path: Path, pixels: np.ndarray, *palette: tuple[int, ...]) -> None:
    image = Image.fromarray(pixels)
    image.putpalette([part for color in palette for part in color])
    image.save(path)


def test_palettes_that_number_colours_instead_of_classes(tmp_path: Path) -> None:
    sky, wall, door = map(tuple, CLASSES["colors"])
    make_folder(tmp_path, count=5)
    pixels = np.tile(np.arange(20) % 2, (12, 1)).astype(np.uint8)
    labels = tmp_path / "train/labels"
    indexed(labels / "photo0.png", pixels, sky, wall)  # ids, drawn in the classes' colours
    indexed(labels / "photo1.png", pixels, sky, door)
    indexed(labels / "photo2.png", pixels + 2, sky, wall, wall, sky)  # 3 is no class either
    indexed(labels / "photo4.png", pixels, (0, 0, 0), sky, wall)
    faults = check_dataset(tmp_path).faults
    assert [(fault.file, fault.what) for fault in faults] == [
        ("train/labels/photo1.png", "its palette gives id 1 the colour of 'door'"),
        ("train/labels/photo2.png", "its palette gives id 2 the colour of 'wall', 3 the colour of 'sky'"),
        ("train/labels/photo4.png", "its palette gives id 1 the colour of 'sky'"),
    ]
    assert all("`ccfpse data convert palette`" in fault.cure for fault in faults)


def test_palettes_that_differ_between_files(tmp_path: Path) -> None:
    """Of maps in colours that something else has made indexed ones: entry 1 is red here, blue there."""
    make_folder(tmp_path, count=3)
    pixels = np.tile(np.arange(20) % 2, (12, 1)).astype(np.uint8)
    labels = tmp_path / "train/labels"
    for i, color in enumerate([(200, 0, 0), (200, 0, 0), (0, 0, 201)]):
        indexed(labels / f"photo{i}.png", pixels, (9, 9, 9), color)
    told = r"photo\d\.png: its palette gives id 1 the colour \[.*\], but that of .*photo\d\.png \["
    report = check_dataset(tmp_path)
    assert re.search(told, str(report.faults[0]))
    with pytest.raises(ValueError, match=told):
        verify(open_dataset(tmp_path))
    assert not write_shards(tmp_path, tmp_path / "shards").sound
    FolderDataset(tmp_path).sample(2)  # alone it tells nothing
    assert convert("remap", tmp_path, tmp_path / "out", ids="0:0").sound  # the cure where the ids are right
    assert check_dataset(tmp_path / "out").sound


def test_greys_that_something_has_made_indices_of(tmp_path: Path) -> None:
    make_folder(tmp_path, count=3)
    pixels = np.tile(np.arange(20) % 2, (12, 1)).astype(np.uint8)
    labels = tmp_path / "train/labels"
    indexed(labels / "photo0.png", pixels, (1, 1, 1), (2, 2, 2))
    assert "its palette shows id 0 as grey 1, which is an id itself" in str(check_dataset(tmp_path).faults[0])
    for white in (1, 127, 255):  # their own, and greys to look at
        for i in range(3):
            indexed(labels / f"photo{i}.png", pixels, (0, 0, 0), (white,) * 3)
        assert check_dataset(tmp_path).sound


def test_one_class_and_no_class(tmp_path: Path) -> None:
    make_folder(tmp_path, classes={"names": ["cat"], "ignore": 255})
    report = check_dataset(tmp_path)
    assert report.sound
    assert any('`ccfpse data convert remap SRC DST --ids "0:255, 255:0"`' in note for note in report.notes)


def test_notes(tmp_path: Path) -> None:
    make_folder(tmp_path, count=3, splits=("train", "val"))
    for split in ("train", "val"):
        for i in range(3):
            labels = np.zeros((12, 20), dtype=np.uint8)
            labels[0, :2] = 1
            write_png(tmp_path / split / f"labels/photo{i}.png", labels)
    write_png(tmp_path / "train/labels/photo1.png", np.full((12, 20), 255, dtype=np.uint8))
    report = check_dataset(tmp_path)
    assert report.sound
    assert "classes that never occur: door" in report.notes
    assert "1 label maps without a labelled pixel: train/labels/photo1.png" in report.notes
    twins = ", ".join(f"val/images/photo{i}.jpg = train/images/photo{i}.jpg" for i in range(3))
    assert f"3 photos that are copies: {twins}" in report.notes
    assert "Worth knowing" in rendered(report)


def test_chosen_splits(tmp_path: Path) -> None:
    make_folder(tmp_path, splits=("train", "val"))
    assert check_dataset(tmp_path, splits=["val"]).photos == {"val": 3}
    with pytest.raises(ValueError, match="no split 'test'; it has train, val"):
        check_dataset(tmp_path, splits=["test"])


def test_not_a_data_set(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nowhere: no such folder; a data set is one of"):
        check_dataset(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="an empty folder"):
        check_dataset(tmp_path)
    (tmp_path / "photos").mkdir()
    with pytest.raises(ValueError, match=r"it holds photos; a data set is one of\n.*SPLIT/images"):
        check_dataset(tmp_path)


def test_contact_sheet_shows_photos_labels_and_legend(tmp_path: Path) -> None:
    make_folder(tmp_path, count=20)
    (tmp_path / "train/images/photo0.jpg").write_bytes(b"broken")
    report = check_dataset(tmp_path, shown=5)
    assert len(report.thumbnails) == 4  # one of the five cannot be read
    sheet = np.asarray(report.contact_sheet())
    # 12×20 fits 252×252 as 151×252; of its 20 columns 7, 7 and 5 hold the classes
    for color, columns in [((0, 0, 255), 7), ((200, 100, 0), 7), ((0, 128, 0), 5)]:
        seen = (sheet == color).all(axis=-1).sum()
        assert 4 * 151 * 252 * columns / 20 * 0.97 < seen < 4 * 151 * 252 * columns / 20 * 1.03


def test_contact_sheet_of_tall_and_wide_photos_and_long_names(tmp_path: Path) -> None:
    names = ["a class with a name that is far too long for one column of the legend", "sky"]
    make_folder(tmp_path, count=1, size=(10, 400), classes={"names": names, "ignore": 65535})
    make_folder(tmp_path / "more", count=1, size=(400, 10), classes={"names": names, "ignore": 65535})
    for kind, suffix in (("images", "jpg"), ("labels", "png")):
        source = tmp_path / "more/train" / kind / f"photo0.{suffix}"
        source.rename(tmp_path / "train" / kind / f"tall.{suffix}")
    report = check_dataset(tmp_path)
    assert report.sound
    assert len(report.sizes) == 2
    assert report.contact_sheet().mode == "RGB"
    assert "10–400 high, 10–400 wide" in report.summary()


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0 %"),
        (0.00001, "< 0.01 %"),
        (0.0004, "0.04 %"),
        (0.0123, "1.2 %"),
        (0.435, "43.5 %"),
        (1, "100.0 %"),
    ],
)
def test_shares_in_words(share: float, text: str) -> None:
    assert share_text(share) == text


def test_the_facades_are_sound() -> None:
    report = check_dataset(shared_path("data", "facades-384"), splits=["val"])
    assert report.sound
    assert report.photos == {"val": 58}
    assert 0.005 < report.unlabelled_share < 0.03  # SOURCE.md: about 1.5 % of the pixels
    assert report.contact_sheet().width > 1000


def test_the_sheet_is_a_picture_people_can_open(tmp_path: Path) -> None:
    report = check_dataset(make_folder(tmp_path / "set"))
    report.contact_sheet().save(tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size[0] == report.contact_sheet().width
