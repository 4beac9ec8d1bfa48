import io
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from dataset_files import CLASSES, ade20k, cityscapes, coco, coco_stuff, make_folder, write_jpeg, write_png
from PIL import Image
from rich.console import Console

from ccfpse.data import CorruptSample, FolderDataset
from ccfpse.data import convert as converting
from ccfpse.data.convert import convert
from ccfpse.data.palette import PaletteDataset
from ccfpse.data.remap import RemapDataset, parse_ids

SKY, WALL, DOOR, BLACK = (0, 0, 255), (200, 100, 0), (0, 128, 0), (0, 0, 0)


def palette_set(root: Path, row: list[tuple[int, ...]]) -> Path:
    """One photo with a label map of two such rows of colours."""
    root.mkdir()
    (root / "classes.json").write_text(json.dumps(CLASSES))
    write_jpeg(root / "train/images/a.jpg", (2, len(row)))
    write_png(root / "train/labels/a.png", np.array([row, row], dtype=np.uint8))
    return root


def test_ade20k(tmp_path: Path) -> None:
    result = convert("ade20k", ade20k(tmp_path / "ade"), tmp_path / "out")
    assert result.sound
    assert result.written == {"train": 1, "val": 1}
    dataset = FolderDataset(tmp_path / "out", "val")
    assert dataset.label_space.names[:2] == ("wall", "building")
    assert dataset.load(0)[1][0].tolist() == [255, 0, 1, 148, 149]
    photo = tmp_path / "ade/images/validation/ADE_val_00000001.jpg"
    assert (tmp_path / "out/val/images/ADE_val_00000001.jpg").read_bytes() == photo.read_bytes()


def test_cityscapes(tmp_path: Path) -> None:
    assert convert("cityscapes", cityscapes(tmp_path / "city"), tmp_path / "out").sound
    dataset = FolderDataset(tmp_path / "out")
    assert dataset.label_space.ignore is None
    assert dataset.stems == ["aachen_000001_000019", "bremen_000001_000019"]
    _, labels, instances = dataset.load(0)
    assert labels[0].tolist() == [0, 7, 26, 33, 34]
    assert instances is not None
    assert instances[0].tolist() == [0, 7, 26001, 33, 26002]


def test_coco_stuff(tmp_path: Path) -> None:
    assert convert("coco-stuff", coco_stuff(tmp_path / "coco"), tmp_path / "out").sound
    sample = FolderDataset(tmp_path / "out", "val").sample(0)
    assert sample.labels[0].tolist() == [0, 0, 156, 181, 182]
    assert sample.instances is not None
    assert sample.instances[0].tolist() == [1, 1, 0, 0, 0]


def test_coco_json(tmp_path: Path) -> None:
    assert convert("coco-json", coco(tmp_path / "coco"), tmp_path / "out").sound
    dataset = FolderDataset(tmp_path / "out")
    assert dataset.label_space.names == ("door", "wall")
    assert dataset.load(0)[1].tolist() == [[1] * 6] + [[1, 0, 0, 1, 1, 1]] * 3


def test_coco_json_with_photos_elsewhere_and_in_another_format(tmp_path: Path) -> None:
    coco(tmp_path / "coco", "export.json", "shots")
    text = (tmp_path / "coco/export.json").read_text().replace("a.jpg", "a.bmp")
    (tmp_path / "coco/export.json").write_text(text)
    (tmp_path / "coco/shots/a.jpg").unlink()
    Image.new("RGB", (6, 4), (9, 8, 7)).save(tmp_path / "coco/shots/a.bmp")
    assert convert(
        "coco-json", tmp_path / "coco/export.json", tmp_path / "out", images=tmp_path / "coco/shots"
    ).sound
    with Image.open(tmp_path / "out/train/images/a.png") as photo:
        assert photo.getpixel((0, 0)) == (9, 8, 7)


def test_palette(tmp_path: Path) -> None:
    source = palette_set(tmp_path / "in", [SKY, WALL, DOOR, BLACK])
    assert convert("palette", source, tmp_path / "out").sound
    assert FolderDataset(tmp_path / "out").load(0)[1].tolist() == [[0, 1, 2, 255]] * 2


def test_palette_from_another_file_and_flat_folders(tmp_path: Path) -> None:
    source = palette_set(tmp_path / "in", [SKY, DOOR])
    (source / "train/images").rename(source / "images")
    (source / "train/labels").rename(source / "labels")
    (source / "classes.json").rename(tmp_path / "other.json")
    assert convert("palette", source, tmp_path / "out", classes=tmp_path / "other.json").sound
    assert FolderDataset(tmp_path / "out").load(0)[1].tolist() == [[0, 2]] * 2


def test_colours_off_the_palette_are_reported_with_counts_and_positions(tmp_path: Path) -> None:
    source = palette_set(tmp_path / "in", [SKY, WALL, (199, 103, 0), (0, 4, 252), (0, 4, 252)])
    result = convert("palette", source, tmp_path / "out")
    assert not result.sound
    assert result.written == {"train": 0}
    (fault,) = result.faults
    assert fault.file == "train/labels/a.png"
    assert fault.what == (
        "6 pixels have colours of no class: (0, 4, 252) on 4 pixels, first at row 0, column 3, 5 from 'sky'; "
        "(199, 103, 0) on 2 pixels, first at row 0, column 2, 3 from 'wall'"
    )
    assert "--nearest" in fault.cure
    assert not (tmp_path / "out/train").exists()


def test_colours_snap_to_the_nearest(tmp_path: Path) -> None:
    source = palette_set(tmp_path / "in", [SKY, WALL, (199, 103, 0), (0, 4, 252), (9, 9, 9)])
    result = convert("palette", source, tmp_path / "out", snap=True)
    assert result.sound
    assert FolderDataset(tmp_path / "out").load(0)[1].tolist() == [[0, 1, 1, 0, 255]] * 2
    # the farthest, (9, 9, 9) to black: √(3 · 81) ≈ 15.6
    assert result.notes == [
        "train: 6 pixels in 1 label maps snapped to the nearest color, at most 16 away "
        "(of 441 from black to white)"
    ]


def test_palette_images_and_transparent_pixels(tmp_path: Path) -> None:
    source = palette_set(tmp_path / "in", [SKY, WALL])
    indexed = Image.fromarray(np.array([[1, 0], [0, 1]], dtype=np.uint8))
    indexed.putpalette([*WALL, *DOOR])
    indexed.save(source / "train/labels/a.png")
    write_jpeg(source / "train/images/b.jpg", (1, 2))
    write_png(source / "train/labels/b.png", np.array([[(*SKY, 255), (*SKY, 0)]], dtype=np.uint8))
    assert convert("palette", source, tmp_path / "out").sound
    dataset = FolderDataset(tmp_path / "out")
    assert dataset.load(0)[1].tolist() == [[2, 1], [1, 2]]
    assert dataset.load(1)[1].tolist() == [[0, 255]]


def test_black_is_a_class_where_the_palette_says_so(tmp_path: Path) -> None:
    source = palette_set(tmp_path / "in", [SKY, BLACK])
    (source / "classes.json").write_text(json.dumps({**CLASSES, "colors": [SKY, BLACK, DOOR]}))
    assert convert("palette", source, tmp_path / "out").sound
    assert FolderDataset(tmp_path / "out").load(0)[1].tolist() == [[0, 1]] * 2


def test_palette_needs_different_colours(tmp_path: Path) -> None:
    source = palette_set(tmp_path / "in", [SKY])
    (source / "classes.json").write_text(json.dumps({**CLASSES, "colors": [SKY, WALL, SKY]}))
    with pytest.raises(ValueError, match=r"classes\.json: 'door' and 'sky' have the same color"):
        PaletteDataset(source)


def test_jpeg_palettes_need_snapping(tmp_path: Path) -> None:
    source = palette_set(tmp_path / "in", [SKY] * 16)
    (source / "train/labels/a.png").unlink()
    Image.new("RGB", (16, 2), SKY).save(source / "train/labels/a.jpg", quality=95)
    (fault,) = convert("palette", source, tmp_path / "out").faults
    assert "JPEG" in fault.what
    assert convert("palette", source, tmp_path / "out", snap=True).sound
    assert FolderDataset(tmp_path / "out").load(0)[1].tolist() == [[0] * 16] * 2


def test_remapped_ids(tmp_path: Path) -> None:
    source = make_folder(tmp_path / "in", count=0)
    write_jpeg(source / "train/images/a.jpg", (1, 5))
    write_png(source / "train/labels/a.png", np.array([[0, 1, 2, 3, 255]], dtype=np.uint8))
    assert convert("remap", source, tmp_path / "out", ids="0:255, 1-3:0-2").sound
    assert FolderDataset(tmp_path / "out").load(0)[1].tolist() == [[255, 0, 1, 2, 255]]
    (fault,) = convert("remap", source, tmp_path / "out2", ids={0: 7}).faults
    assert "label id 3 (1 pixel), 7 (1 pixel)" in fault.what
    with pytest.raises(ValueError, match=r"must be 0\.\.65535, got 0:-1"):
        convert("remap", source, tmp_path / "out3", ids={0: -1})


def test_grey_maps_in_several_channels(tmp_path: Path) -> None:
    make_folder(tmp_path / "set", count=1)
    labels = tmp_path / "set/train/labels/photo0.png"
    ids = np.asarray(Image.open(labels))
    write_png(labels, np.dstack([ids] * 3))
    assert convert("remap", tmp_path / "set", tmp_path / "out", ids="0:0").sound
    assert (FolderDataset(tmp_path / "out").load(0)[1] == ids).all()


def test_half_a_set_is_not_converted_otherwise(tmp_path: Path) -> None:
    source = make_folder(tmp_path / "in")
    assert convert("remap", source, tmp_path / "out", ids="1:0").sound
    again = convert("remap", source, tmp_path / "out", ids="1:0")
    assert again.kept["train"] > 0
    with pytest.raises(
        ValueError, match=r"was converted otherwise \(kind remap, ids 1:0; now kind remap, ids 0:1"
    ):
        convert("remap", source, tmp_path / "out", ids="0:1")
    assert convert("remap", source, tmp_path / "out", ids="0:1", overwrite=True).written["train"] > 0
    with pytest.raises(ValueError, match="no ids to remap; say which become which"):
        convert("remap", source, tmp_path / "out2")


def test_overwriting_removes_the_old_samples_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those that can no longer be converted, and before anything is written under the new ids."""
    source = make_folder(tmp_path / "in", instances=True)
    out = tmp_path / "out"
    convert("remap", source, out, ids="1:0")
    shutil.rmtree(source / "train/instances")
    (source / "train/images/photo1.jpg").write_bytes(b"broken")
    with monkeypatch.context() as patch:
        patch.setattr(converting, "_convert_one", lambda *_: pytest.fail("interrupted"))
        with pytest.raises(BaseException, match="interrupted"):
            convert("remap", source, out, ids="0:1", overwrite=True)
    result = convert("remap", source, out, ids="0:1")
    assert (result.written, result.kept) == ({"train": 2}, {"train": 0})
    files = [path.relative_to(out).as_posix() for path in sorted(out.rglob("*.*")) if path.is_file()]
    assert files == [
        "classes.json",
        "conversion.json",
        "train/images/photo0.jpg",
        "train/images/photo2.jpg",
        "train/labels/photo0.png",
        "train/labels/photo2.png",
    ]
    assert FolderDataset(out).load(0)[1][0].tolist() == [1] * 14 + [2] * 5 + [255]


def test_overwriting_one_split_keeps_to_the_ids_of_the_others(tmp_path: Path) -> None:
    source = make_folder(tmp_path / "in", splits=("train", "val"))
    out = tmp_path / "out"
    convert("remap", source, out, ids="1:0")
    with pytest.raises(ValueError, match=r"was converted otherwise .* `--overwrite` all"):
        convert("remap", source, out, ids="0:1", splits=["train"], overwrite=True)
    assert convert("remap", source, out, ids="1:0", splits=["train"], overwrite=True).written == {"train": 3}
    assert len(FolderDataset(out, "val")) == 3


def test_overwriting_leaves_what_no_conversion_wrote(tmp_path: Path) -> None:
    source = palette_set(tmp_path / "in", [SKY, WALL])
    mine = make_folder(tmp_path / "mine")
    with pytest.raises(ValueError, match=r"holds samples, but no conversion\.json"):
        convert("palette", source, mine, overwrite=True)
    assert len(FolderDataset(mine)) == 3
    out = tmp_path / "out"
    convert("coco-json", coco(tmp_path / "coco"), out)
    (out / "list.json").write_bytes((tmp_path / "coco/annotations/instances_train2017.json").read_bytes())
    with pytest.raises(ValueError, match=r"train/images: holds files of the source"):
        convert("coco-json", out / "list.json", out, images=out / "train/images", overwrite=True)
    assert len(FolderDataset(out)) == 2


@pytest.mark.parametrize(
    ("kind", "options", "told"),
    [
        ("ade20k", {"ids": "0:255"}, "convert ade20k takes no --ids, which belongs to remap"),
        ("remap", {"ids": "0:255", "snap": True}, "takes no --nearest, which belongs to palette"),
        ("palette", {"images": "."}, "takes no --images, which belongs to coco-json"),
        ("coco-stuff", {"classes": "c.json"}, "takes no --classes, which belongs to palette, remap"),
    ],
)
def test_options_of_other_kinds(tmp_path: Path, kind: str, options: dict, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        convert(kind, tmp_path, tmp_path / "out", **options)


def test_colours_are_not_invented(tmp_path: Path) -> None:
    source = palette_set(tmp_path / "in", [SKY])
    (source / "classes.json").write_text(json.dumps({"names": CLASSES["names"]}))
    with pytest.raises(ValueError, match=r'classes\.json: has no "colors"'):
        convert("palette", source, tmp_path / "out", snap=True)
    assert not (tmp_path / "out").exists()


def test_ids_in_words() -> None:
    assert parse_ids("0:255") == {0: 255}
    assert parse_ids(" 3 : 1,7-9:4-6, 20-21:255") == {3: 1, 7: 4, 8: 5, 9: 6, 20: 255, 21: 255}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must read like"),
        ("1=2", "got '1=2'"),
        ("1:2,", "got ''"),
        ("1-3:0-1", "'1-3:0-1': the two ranges"),
        ("3-1:0", "must ascend"),
        ("1:2, 0-4:9", "id 1 is already remapped to 2"),
    ],
)
def test_ids_that_cannot_be_read(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_ids(text)


def test_going_on_keeps_what_is_there(tmp_path: Path) -> None:
    source = ade20k(tmp_path / "ade")
    convert("ade20k", source, tmp_path / "out")
    labels = tmp_path / "out/train/labels/ADE_train_00000001.png"
    write_png(labels, np.zeros((3, 5), dtype=np.uint8))  # to see whether it is written again
    (tmp_path / "out/val/images/ADE_val_00000001.jpg").unlink()
    result = convert("ade20k", source, tmp_path / "out")
    assert result.written == {"train": 0, "val": 1}
    assert result.kept == {"train": 1, "val": 0}
    assert Image.open(labels).getextrema() == (0, 0)
    again = convert("ade20k", source, tmp_path / "out", overwrite=True)
    assert again.written == {"train": 1, "val": 1}
    assert Image.open(labels).getextrema() == (0, 255)
    console = Console(file=io.StringIO(), width=150)
    console.print(result)
    assert "train: 0 photos written, 1 already there" in console.file.getvalue()


def test_instances_that_came_later_are_added(tmp_path: Path) -> None:
    source = coco_stuff(tmp_path / "coco", instances=False)
    assert convert("coco-stuff", source, tmp_path / "out").written == {"train": 1, "val": 1}
    coco_stuff(source)
    for written in (1, 0):
        result = convert("coco-stuff", source, tmp_path / "out")
        assert result.written == {"train": written, "val": written}
    assert FolderDataset(tmp_path / "out").has_instances


def test_names_of_full_length(tmp_path: Path) -> None:
    make_folder(tmp_path / "set", count=1)
    name = "n" * 251
    for folder, suffix in (("images", "jpg"), ("labels", "png")):
        file = tmp_path / f"set/train/{folder}/photo0.{suffix}"
        file.rename(file.with_name(f"{name}.{suffix}"))
    assert convert("remap", tmp_path / "set", tmp_path / "out", ids="0:1").written == {"train": 1}
    assert FolderDataset(tmp_path / "out").stems == [name]


def test_what_symbolic_links_name_is_linked(tmp_path: Path) -> None:
    """As the caches of Hugging Face, DVC and git-annex make them."""
    photo = ade20k(tmp_path / "ade") / "images/training/ADE_train_00000001.jpg"
    (tmp_path / "ade/pool").mkdir()
    photo.rename(tmp_path / "ade/pool/1.jpg")
    photo.symlink_to("../../pool/1.jpg")
    assert convert("ade20k", tmp_path / "ade", tmp_path / "out", link=True).sound
    linked = tmp_path / "out/train/images/ADE_train_00000001.jpg"
    assert not linked.is_symlink()
    assert linked.samefile(tmp_path / "ade/pool/1.jpg")


def test_linked_photos_share_their_storage(tmp_path: Path) -> None:
    convert("ade20k", ade20k(tmp_path / "ade"), tmp_path / "out", link=True)
    original = tmp_path / "ade/images/training/ADE_train_00000001.jpg"
    assert os.path.samefile(original, tmp_path / "out/train/images/ADE_train_00000001.jpg")
    convert("ade20k", tmp_path / "ade", tmp_path / "out", overwrite=True)
    assert not os.path.samefile(original, tmp_path / "out/train/images/ADE_train_00000001.jpg")
    assert original.exists()


def test_broken_files_are_left_out_and_listed(tmp_path: Path) -> None:
    source = cityscapes(tmp_path / "city")
    (source / "gtFine/train/bremen/bremen_000001_000019_gtFine_labelIds.png").write_bytes(b"broken")
    (source / "leftImg8bit/val/lindau/lindau_000001_000019_leftImg8bit.png").unlink()
    result = convert("cityscapes", source, tmp_path / "out", splits=["train"])
    assert result.written == {"train": 1}
    assert [fault.file for fault in result.faults] == [
        "gtFine/train/bremen/bremen_000001_000019_gtFine_labelIds.png"
    ]
    assert FolderDataset(tmp_path / "out").stems == ["aachen_000001_000019"]
    faults = convert("cityscapes", source, tmp_path / "out2").faults
    assert len(faults) == 2
    assert "no photos here" in faults[1].what


def test_instances_beyond_sixteen_bits_are_numbered_anew(tmp_path: Path) -> None:
    source = palette_set(tmp_path / "in", [SKY, WALL, DOOR])
    panoptic = np.array([[(0, 0, 0), (1, 2, 3), (4, 5, 6)]] * 2, dtype=np.uint8)
    write_png(source / "train/instances/a.png", panoptic)
    assert convert("palette", source, tmp_path / "out").sound
    instances = FolderDataset(tmp_path / "out").load(0)[2]
    assert instances is not None
    assert instances.tolist() == [[0, 1, 2]] * 2


def test_destinations_that_hold_something_else(tmp_path: Path) -> None:
    source = ade20k(tmp_path / "ade")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thesis.txt").touch()
    with pytest.raises(ValueError, match=r"full: not empty"):
        convert("ade20k", source, tmp_path / "full")
    make_folder(tmp_path / "ours")
    with pytest.raises(ValueError, match="other classes than the source's"):
        convert("ade20k", source, tmp_path / "ours")
    with pytest.raises(ValueError, match="is the source itself"):
        convert("ade20k", source, source)


@pytest.mark.parametrize(
    ("kind", "looked_for"),
    [
        ("coco-json", "_annotations.coco.json"),
        ("coco-stuff", "stuffthingmaps/train2017"),
        ("ade20k", "annotations/training"),
        ("cityscapes", "gtFine/{train,val}"),
        ("palette", "classes.json with the colours"),
        ("remap", "SPLIT/images"),
    ],
)
def test_sources_of_another_layout(tmp_path: Path, kind: str, looked_for: str) -> None:
    (tmp_path / "holidays").mkdir()
    options = {"ids": "0:255"} if kind == "remap" else {}
    with pytest.raises(ValueError, match="it holds holidays; expected") as caught:
        convert(kind, tmp_path, tmp_path / "out", **options)
    assert looked_for in str(caught.value)
    with pytest.raises(ValueError, match="no such folder"):
        convert(kind, tmp_path / "nowhere", tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_a_misspelt_kind(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="did you mean 'cityscapes'"):
        convert("cityscape", tmp_path, tmp_path / "out")


def test_ids_beyond_sixteen_bits_cannot_be_remapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a TIFF by the name of a PNG may hold them."""
    dataset = RemapDataset(make_folder(tmp_path), ids="1:2")
    monkeypatch.setattr("ccfpse.data.remap.decode_labels", lambda *_, **__: np.array([[70_000]]))
    with pytest.raises(CorruptSample, match=r"photo0\.png: label id 70000"):
        dataset.read_labels(dataset.entries[0])
