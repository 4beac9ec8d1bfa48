import json
from collections.abc import Callable
from pathlib import Path

import pytest
from dataset_files import (
    STANDARD_SIZE,
    ade20k,
    cityscapes,
    coco_stuff,
    make_folder,
    standard_labels,
    write_jpeg,
    write_png,
)

from ccfpse.data import CorruptSample, open_dataset
from ccfpse.data.ade20k import Ade20k
from ccfpse.data.check import check_dataset
from ccfpse.data.cityscapes import Cityscapes
from ccfpse.data.coco_json import CocoJson
from ccfpse.data.coco_stuff import CocoStuff
from ccfpse.data.folder import FolderDataset
from ccfpse.data.layouts import find_layout, open_splits


def test_ade20k_moves_unlabelled_from_0_to_255(tmp_path: Path) -> None:
    dataset = Ade20k(ade20k(tmp_path))
    assert len(dataset.label_space) == 150
    assert [dataset.label_space.index(name) for name in ("wall", "tree", "person", "flag")] == [0, 4, 12, 149]
    assert not dataset.has_instances
    assert dataset.load(0)[1][0].tolist() == [255, 0, 1, 148, 149]
    assert dataset.sample(0).labels[0].tolist() == [150, 0, 1, 148, 149]
    assert Ade20k(tmp_path, "val").stems == ["ADE_val_00000001"]


def test_ade20k_ids_beyond_150(tmp_path: Path) -> None:
    ade20k(tmp_path)
    write_png(tmp_path / "annotations/training/ADE_train_00000001.png", standard_labels(0, 1, 2, 3, 151))
    with pytest.raises(CorruptSample, match=r"1\.png: label id 151, but .* end at 150; replace or"):
        Ade20k(tmp_path).sample(0)


def test_ids_of_no_class_of_a_known_set_have_a_cure_that_works(tmp_path: Path) -> None:
    coco_stuff(tmp_path)
    file = next((tmp_path / "stuffthingmaps/train2017").glob("*.png"))
    write_png(file, standard_labels(0, 1, 2, 3, 182))
    with pytest.raises(CorruptSample, match=r"label id 182 \(3 pixels\).*; replace or remove it") as caught:
        CocoStuff(tmp_path).sample(0)
    assert "classes.json" not in str(caught.value)


def test_cityscapes(tmp_path: Path) -> None:
    assert Cityscapes.splits(cityscapes(tmp_path)) == ["train", "val"]
    dataset = Cityscapes(tmp_path)
    assert dataset.stems == ["aachen_000001_000019", "bremen_000001_000019"]
    space = dataset.label_space
    assert (space.classes, space.unknown, space.channels) == (35, False, 35)
    names = [space.names[i] for i in (0, 7, 11, 23, 24, 26, 33, 34)]
    assert names == ["unlabeled", "road", "building", "sky", "person", "car", "bicycle", "license plate"]
    assert space.colors[7] == (128, 64, 128)
    sample = dataset.sample(1)
    assert sample.labels[0].tolist() == [0, 7, 26, 33, 34]
    assert sample.instances is not None
    assert sample.instances[0].tolist() == [0, 7, 26001, 33, 26002]


@pytest.mark.parametrize(
    ("photos", "maps"),
    [
        ("{}", "stuffthingmaps/{}"),
        ("{}", "stuffthingmaps_trainval2017/{}"),
        ("images/{}", "annotations/{}"),
        ("images/{}", "labels/{}"),
        ("{}", "{}"),
    ],
)
def test_coco_stuff(tmp_path: Path, photos: str, maps: str) -> None:
    dataset = CocoStuff(coco_stuff(tmp_path, photos, maps))
    assert CocoStuff.splits(tmp_path) == ["train", "val"]
    space = dataset.label_space
    assert (space.classes, space.channels) == (182, 183)
    names = {0: "person", 11: "street sign", 90: "hair brush", 91: "banner", 156: "sky-other", 181: "wood"}
    assert {i: space.names[i] for i in names} == names
    sample = dataset.sample(0)
    assert sample.stem == "000000000009"
    assert sample.labels[0].tolist() == [0, 0, 156, 181, 182]
    assert sample.instances is not None
    assert sample.instances.tolist() == [[1, 1, 0, 0, 0]] * 3


def test_coco_stuff_without_instances(tmp_path: Path) -> None:
    dataset = CocoStuff(coco_stuff(tmp_path, instances=False))
    assert not dataset.has_instances
    assert dataset.sample(0).instances is None


def test_coco_stuff_photo_that_the_json_does_not_list(tmp_path: Path) -> None:
    coco_stuff(tmp_path)
    write_jpeg(tmp_path / "train2017/extra.jpg", STANDARD_SIZE)
    write_png(tmp_path / "stuffthingmaps/train2017/extra.png", standard_labels(0, 0, 0, 0, 0))
    with pytest.raises(
        ValueError, match=r"train2017/extra\.jpg: not listed in annotations/instances_train2017"
    ):
        CocoStuff(tmp_path)


def test_the_layout_is_recognised(tmp_path: Path) -> None:
    coco_only = coco_stuff(tmp_path / "coco")
    for part in ("train2017", "val2017"):
        (coco_only / f"stuffthingmaps/{part}").rename(tmp_path / part)
    for root, layout in [
        (make_folder(tmp_path / "ours"), FolderDataset),
        (ade20k(tmp_path / "ade"), Ade20k),
        (cityscapes(tmp_path / "city"), Cityscapes),
        (coco_stuff(tmp_path / "stuff"), CocoStuff),
        (coco_only, CocoJson),
    ]:
        assert find_layout(root) is layout
        assert isinstance(open_dataset(root, "train"), layout)


@pytest.mark.parametrize("make", [ade20k, cityscapes, coco_stuff])
def test_own_classes_are_not_read_as_those_of_a_known_set(
    tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    root = make(tmp_path / "set")
    (root / "classes.json").write_text('{"names": ["mine"]}')
    for read in (open_dataset, lambda path: open_splits(find_layout(path), path)):
        with pytest.raises(
            ValueError, match=r"classes\.json: other classes than the \d+ of .* is read; move"
        ):
            read(root)
    known = open_dataset(make(tmp_path / "other")).label_space
    (tmp_path / "other/classes.json").write_text(json.dumps(known.to_dict()))
    open_dataset(tmp_path / "other")


def test_what_cityscapes_lacks_is_named(tmp_path: Path) -> None:
    root = cityscapes(tmp_path)
    for kind in ("labelIds", "instanceIds"):
        for file in root.glob(f"gtFine/train/*/*_gtFine_{kind}.png"):
            file.unlink()
        with pytest.raises(ValueError, match=rf"s here \(names end in _gtFine_{kind}\.png\)"):
            open_dataset(root)
        cityscapes(tmp_path)


def test_an_unknown_layout_says_what_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    with pytest.raises(ValueError, match="not recognised; it holds pictures") as caught:
        open_dataset(tmp_path)
    for word in (
        "classes.json",
        "leftImg8bit",
        "images/training",
        "stuffthingmaps",
        "_annotations.coco.json",
    ):
        assert word in str(caught.value)


@pytest.mark.parametrize("make", [ade20k, cityscapes, coco_stuff])
def test_check_reads_them_in_place(tmp_path: Path, make: object) -> None:
    assert callable(make)
    report = check_dataset(make(tmp_path))
    assert report.sound
    assert set(report.photos) == {"train", "val"}
    write_png(
        next(tmp_path.rglob("*train*/**/*.png" if make is cityscapes else "*.png")), standard_labels(0)[:, :1]
    )
    assert not check_dataset(tmp_path).sound
