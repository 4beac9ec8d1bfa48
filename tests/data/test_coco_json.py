import json
from pathlib import Path

import numpy as np
import pytest
from dataset_files import COCO_SIZE, DOOR, WALL, coco, coco_content, write_jpeg
from PIL import Image

from ccfpse.data import CorruptSample
from ccfpse.data.coco_annotations import AnnotationFile
from ccfpse.data.coco_json import CocoJson
from ccfpse.data.layouts import open_dataset
from ccfpse.training.config import TrainConfig
from ccfpse.training.loop import Run, datasets_read


def test_polygons_and_runs_become_labels_and_instances(tmp_path: Path) -> None:
    dataset = CocoJson(coco(tmp_path))
    assert dataset.label_space.names == ("door", "wall")
    assert dataset.stems == ["a", "b"]
    assert dataset.has_instances
    _, labels, instances = dataset.load(0)
    assert labels.dtype == np.uint8
    assert labels.tolist() == [[1, 1, 1, 1, 1, 1]] + [[1, 0, 0, 1, 1, 1]] * 3
    assert instances is not None
    assert instances.tolist() == [[1, 1, 1, 1, 1, 1]] + [[1, 2, 2, 1, 1, 1]] * 3
    _, labels, instances = dataset.load(1)  # columns of four: the second and third are the crowd
    assert labels.tolist() == [[255, 0, 0, 255, 255, 255]] * 4
    assert instances is not None
    assert instances.tolist() == [[0, 1, 1, 0, 0, 0]] * 4
    assert dataset.sample(1).labels.tolist() == [[2, 0, 0, 2, 2, 2]] * 4


@pytest.mark.parametrize(
    ("file", "photos", "split"),
    [
        ("annotations/instances_train2017.json", "images/train2017", "train"),
        ("annotations/instances_val2017.json", "val2017", "val"),
        ("annotations/train.json", "train", "train"),
        ("annotations/instances_default.json", "images", "train"),
        ("valid/_annotations.coco.json", "valid", "val"),
        ("result_coco.json", "images", "train"),
        ("result_coco.json", ".", "train"),
        ("val_coco.json", "val", "val"),
        ("result.json", "images", "train"),
        ("labels.json", "data", "train"),
        ("annotations/output.json", "images", "train"),
        ("annotations/instances_test-dev2017.json", "images", "test"),
    ],
)
def test_where_tools_put_the_files(tmp_path: Path, file: str, photos: str, split: str) -> None:
    coco(tmp_path, file, photos)
    assert CocoJson.splits(tmp_path) == [split]
    dataset = CocoJson(tmp_path, split)
    assert len(dataset) == 2
    dataset.sample(0)


def test_one_json_file(tmp_path: Path) -> None:
    coco(tmp_path, "export.json", "images")
    assert CocoJson(tmp_path / "export.json").sample(0).labels.shape == COCO_SIZE
    (tmp_path / "images").rename(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match=r"photo 'a.jpg' of export.json not found in .*--images"):
        CocoJson(tmp_path / "export.json")
    assert len(CocoJson(tmp_path / "export.json", images=tmp_path / "elsewhere")) == 2
    coco(tmp_path / "cvat", "annotations/instances_default.json", "images/default")
    CocoJson(tmp_path / "cvat/annotations/instances_default.json").load(0)


def test_a_file_of_something_else_is_not_taken_for_annotations(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text("{}")
    with pytest.raises(ValueError, match=r"not recognised; it holds settings\.json"):
        open_dataset(tmp_path)


def test_photos_beside_a_linked_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    coco(tmp_path / "drive/coco").joinpath("train2017").rename(tmp_path / "photos")
    (tmp_path / "set").symlink_to(tmp_path / "drive/coco")
    monkeypatch.chdir(tmp_path)
    CocoJson("set", images="photos").load(0)


def test_splits_named_behind_the_format(tmp_path: Path) -> None:
    for split in ("train", "val"):
        coco(tmp_path, f"{split}_coco.json", split)
    assert CocoJson.splits(tmp_path) == ["train", "val"]
    assert CocoJson(tmp_path, "val").entries[0].photo == "val/a.jpg"


def test_files_beside_the_one_given_are_not_trained_with(tmp_path: Path) -> None:
    (coco(tmp_path) / "annotations/instances_train2017.json").rename(tmp_path / "train.json")
    (tmp_path / "val.json").write_text("of something else")
    file = tmp_path / "train.json"
    dataset = CocoJson(file, images=tmp_path / "train2017")
    assert datasets_read(Run(file, TrainConfig(), TrainConfig(), dataset, *[None] * 3)) == [dataset]


def test_exports_of_windows_and_archives_of_macos(tmp_path: Path) -> None:
    content = coco_content()
    for image in content["images"]:
        image["file_name"] = f"train2017\\{image['file_name']}"
    file = coco(tmp_path) / "annotations/instances_train2017.json"
    file.write_text(json.dumps(content))
    (file.parent / f"._{file.name}").write_bytes(b"\0\5\x16\7\xff")
    assert len(CocoJson(tmp_path)) == 2


def test_photos_may_be_pngs(tmp_path: Path) -> None:
    """In train2017, where COCO-Stuff's photos and label maps may lie, too."""
    content = coco_content()
    for image in content["images"]:
        image["file_name"] = image["file_name"].replace(".jpg", ".png")
    coco(tmp_path)
    for photo in (tmp_path / "train2017").iterdir():
        Image.open(photo).save(photo.with_suffix(".png"))
        photo.unlink()
    (tmp_path / "annotations/instances_train2017.json").write_text(json.dumps(content))
    assert type(open_dataset(tmp_path)) is CocoJson


@pytest.mark.parametrize("name", [["wall"], 7, " "])
def test_categories_need_names(tmp_path: Path, name: object) -> None:
    file = coco(tmp_path) / "annotations/instances_train2017.json"
    file.write_text(json.dumps(coco_content(categories=[{"id": 3, "name": name}])))
    with pytest.raises(ValueError, match=r"2017\.json: not in COCO format: .* name .* is no text"):
        CocoJson(tmp_path)


def test_splits_share_their_classes(tmp_path: Path) -> None:
    coco(tmp_path)
    more = coco_content(categories=[{"id": 5, "name": "roof"}, {"id": 3, "name": "door"}], annotations=[DOOR])
    (tmp_path / "annotations/instances_val2017.json").write_text(json.dumps(more))
    for name in ("a.jpg", "b.jpg"):
        write_jpeg(tmp_path / "val2017" / name, COCO_SIZE)
    assert CocoJson.splits(tmp_path) == ["train", "val"]
    for split in ("train", "val"):
        assert CocoJson(tmp_path, split).label_space.names == ("door", "roof", "wall")
    other = coco_content(categories=[{"id": 3, "name": "gate"}])
    (tmp_path / "annotations/instances_val2017.json").write_text(json.dumps(other))
    with pytest.raises(ValueError, match=r"category 3 is 'gate', in another split 'door'"):
        CocoJson(tmp_path)


def test_categories_of_one_name_are_one_class(tmp_path: Path) -> None:
    """Roboflow repeats the project's name as category 0."""
    coco(tmp_path)
    categories = [{"id": 0, "name": "wall"}, {"id": 3, "name": "door"}, {"id": 9, "name": "wall"}]
    file = tmp_path / "annotations/instances_train2017.json"
    file.write_text(json.dumps(coco_content(categories=categories)))
    dataset = CocoJson(tmp_path)
    assert dataset.label_space.names == ("wall", "door")
    assert dataset.load(0)[1][0].tolist() == [0] * 6


def test_more_classes_than_eight_bits_hold(tmp_path: Path) -> None:
    coco(tmp_path)
    categories = [{"id": i, "name": f"class {i}"} for i in range(256)]
    file = tmp_path / "annotations/instances_train2017.json"
    file.write_text(json.dumps(coco_content(categories=categories)))
    labels = CocoJson(tmp_path).load(1)[1]
    assert labels.dtype == np.uint16
    assert labels[0].tolist() == [65535, 3, 3, 65535, 65535, 65535]


def test_boxes_without_segments_are_counted(tmp_path: Path) -> None:
    coco(tmp_path)
    box = {"id": 1, "image_id": 7, "category_id": 3, "segmentation": [], "bbox": [0, 0, 2, 2]}
    file = tmp_path / "annotations/instances_train2017.json"
    file.write_text(json.dumps(coco_content(annotations=[box, box, WALL])))
    dataset = CocoJson(tmp_path)
    assert dataset.notes() == [
        "annotations/instances_train2017.json: 2 annotations are boxes without a segmentation"
    ]
    assert dataset.load(0)[1].tolist() == [[1] * 6] * 4


def test_annotations_of_no_listed_image_are_counted(tmp_path: Path) -> None:
    coco(tmp_path)
    file = tmp_path / "annotations/instances_train2017.json"
    file.write_text(json.dumps(coco_content(annotations=[WALL, {**DOOR, "image_id": 99}])))
    dataset = CocoJson(tmp_path)
    assert dataset.notes() == [
        "annotations/instances_train2017.json: 1 annotations belong to no listed image"
    ]
    assert dataset.load(0)[1].tolist() == [[1] * 6] * 4
    file.write_text(json.dumps(coco_content(annotations=[{**WALL, "image_id": "7"}])))
    with pytest.raises(ValueError, match=r"train2017\.json: no annotation's image_id \('7', …\) .* \(7, …\)"):
        CocoJson(tmp_path)


PANOPTIC = {"image_id": 7, "file_name": "a.png", "segments_info": [{"id": 1, "category_id": 3}]}
BOX = {"image_id": 7, "category_id": 3, "bbox": [0, 0, 2, 2]}


@pytest.mark.parametrize(
    ("annotations", "message"),
    [
        ([PANOPTIC], r"none of its 1 annotations has a segmentation; they are panoptic"),
        ([BOX, BOX], "none of its 2 annotations has a segmentation; export them as polygons or masks"),
        ([], "lists no annotations; export it again with segmentations"),
    ],
)
def test_files_without_a_segmentation(tmp_path: Path, annotations: list, message: str) -> None:
    coco(tmp_path)
    file = tmp_path / "annotations/instances_train2017.json"
    file.write_text(json.dumps(coco_content(annotations=annotations)))
    with pytest.raises(ValueError, match=message) as caught:
        CocoJson(tmp_path)
    assert "instances_train2017.json" in str(caught.value)


def test_coordinates_in_shares_of_the_size(tmp_path: Path) -> None:
    file = coco(tmp_path) / "annotations/instances_train2017.json"
    share = {**WALL, "segmentation": [[0, 0, 0.9, 0, 0.9, 1, 0, 1]]}
    file.write_text(json.dumps(coco_content(annotations=[share])))
    with pytest.raises(ValueError, match=r"coordinates are all 0\.\.1, shares of the size; export pixels"):
        CocoJson(tmp_path)


def test_a_sample_is_painted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    painted = []
    original = AnnotationFile.painted
    monkeypatch.setattr(
        AnnotationFile, "painted", lambda self, number: painted.append(number) or original(self, number)
    )
    dataset = CocoJson(coco(tmp_path))
    first, second = dataset.load(0), dataset.load(1)
    assert painted == [0, 1]
    for once, again in zip((first, second), (dataset.load(0), dataset.load(1)), strict=True):
        assert (once[1] == again[1]).all()
        assert (once[2] == again[2]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"segmentation": [[0, 0, 1]]},
            r"instances_train2017\.json: train2017/a\.jpg: annotation 11: a polygon",
        ),
        ({"segmentation": [[1, 1], [5, 1], [5, 3]]}, "annotation 11: .*not a list of points"),
        ({"segmentation": {"size": [4, 6], "counts": [3]}}, "annotation 11: run lengths sum to 3"),
        ({"category_id": [3]}, r"annotation 11: category_id is \[3\], expected a whole number"),
        (
            {"segmentation": {"size": [4, 6], "counts": "o" * 40 + "1"}},
            r"train2017/a\.jpg: annotation 11: ",
        ),
        ({"category_id": 4}, r"train2017/a\.jpg: annotation of category 4, which is not listed"),
    ],
)
def test_faulty_annotations_name_themselves(tmp_path: Path, change: dict, message: str) -> None:
    coco(tmp_path)
    file = tmp_path / "annotations/instances_train2017.json"
    file.write_text(json.dumps(coco_content(annotations=[WALL, {**DOOR, **change}])))
    with pytest.raises(CorruptSample, match=message):
        CocoJson(tmp_path).sample(0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", r"not JSON: expected '\{'"),
        ('{"images": [], "annotations": [{"image_id": 7}', "not JSON"),
        ('{"images": []}', "annotations, categories missing; it has images"),
        (
            '{"images": [{"id": 1}], "annotations": [], "categories": []}',
            "not in COCO format: KeyError 'height'",
        ),
        ('{"images": [], "annotations": [], "categories": []}', '"categories" is empty'),
        (
            '{"images": [], "annotations": [], "categories": [{"id": "5", "name": "wall"}]}',
            "category id '5' is no whole number",
        ),
    ],
)
def test_files_of_another_format(tmp_path: Path, text: str, message: str) -> None:
    coco(tmp_path)
    file = tmp_path / "annotations/instances_train2017.json"
    file.write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        CocoJson(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_missing_photos_and_equal_names_are_faults(tmp_path: Path) -> None:
    coco(tmp_path)
    images = coco_content()["images"]
    images += [
        {"id": 9, "file_name": "c.jpg", "height": 4, "width": 6},
        {"id": 10, "file_name": "more/b.jpg", "height": 4, "width": 6},
    ]
    file = tmp_path / "annotations/instances_train2017.json"
    file.write_text(json.dumps(coco_content(images=images)))
    dataset = CocoJson(tmp_path, strict=False)
    assert dataset.stems == ["a", "b"]
    (tmp_path / "train2017/a.jpg").unlink()
    assert CocoJson(tmp_path, strict=False).stems == ["b"]
    assert CocoJson(tmp_path, strict=False).faults[0].file == "train2017/a.jpg"
    assert [str(fault) for fault in dataset.faults] == [
        "train2017/c.jpg: listed in annotations/instances_train2017.json, but not there; add it",
        "train2017/more/b.jpg: same name as train2017/b.jpg; rename or remove one of the two",
    ]
