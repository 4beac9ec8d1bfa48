import json
from pathlib import Path

import numpy as np
import pytest

from ccfpse.labels import LabelSpace, distinct_colors

SPACE = LabelSpace(("sky", "road", "window"), ((10, 20, 30), (40, 50, 60), (70, 80, 90)))
ALL_LABELLED = LabelSpace(SPACE.names, SPACE.colors, ignore=None)


def test_counts() -> None:
    assert (len(SPACE), SPACE.classes, SPACE.unknown, SPACE.channels) == (3, 3, True, 4)
    assert (ALL_LABELLED.classes, ALL_LABELLED.unknown, ALL_LABELLED.channels) == (3, False, 3)


def test_to_index_moves_ignore_to_the_last_channel() -> None:
    index = SPACE.to_index(np.array([[0, 255], [2, 1]], dtype=np.uint8))
    assert index.dtype == np.int64
    assert index.tolist() == [[0, 3], [2, 1]]


@pytest.mark.parametrize("ids", [[3], [-1], [254], [70000]])
def test_to_index_refuses_other_ids(ids: list[int]) -> None:
    with pytest.raises(ValueError, match="label id"):
        SPACE.to_index(np.array([ids]))


def test_sixteen_bit_ignore() -> None:
    space = LabelSpace(tuple(f"class {i}" for i in range(300)), distinct_colors(300), ignore=65535)
    assert space.to_index(np.array([[299, 65535, 255]], dtype=np.uint16)).tolist() == [[299, 300, 255]]


def test_colorize() -> None:
    picture = SPACE.colorize(np.array([[0, 2, 255]], dtype=np.uint8))
    assert picture.dtype == np.uint8
    assert picture.tolist() == [[[10, 20, 30], [70, 80, 90], [0, 0, 0]]]
    assert SPACE.colorize(SPACE.to_index(np.array([[1, 255]]))).tolist() == [[[40, 50, 60], [0, 0, 0]]]


def test_validate_names_the_file_the_worst_ids_and_the_cure() -> None:
    ids = np.array([[7, 7, 7, 9], [0, 1, 255, 9]])
    with pytest.raises(ValueError, match="label id") as caught:
        SPACE.validate(ids, "train/labels/a.png")
    assert str(caught.value) == (
        "train/labels/a.png: label id 7 (3 pixels), 9 (2 pixels), but the classes are 0..2 (window), "
        "and 255 for pixels without a class; add the missing classes to classes.json "
        "or remap the ids (`ccfpse data convert remap`)"
    )
    SPACE.validate(np.array([[0, 2, 255]]), "fine.png")


def test_validate_recognises_ids_from_one_and_a_forgotten_ignore() -> None:
    with pytest.raises(ValueError, match="if ids start at 1"):
        SPACE.validate(np.array([[1, 2, 3]]), "a.png")
    with pytest.raises(ValueError, match=r'"ignore": 255'):
        ALL_LABELLED.validate(np.array([[0, 255]]), "a.png")


def test_ids_must_be_integers() -> None:
    with pytest.raises(ValueError, match="float64"):
        SPACE.to_index(np.zeros((2, 2)))
    with pytest.raises(ValueError, match="bool"):
        SPACE.validate(np.zeros((2, 2), dtype=bool), "a.png")


def test_index_suggests() -> None:
    assert SPACE.index("window") == 2
    with pytest.raises(ValueError, match="did you mean 'window'"):
        SPACE.index("widnow")
    with pytest.raises(ValueError, match="there are sky, road, window"):
        SPACE.index("elephant")


def test_file_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "classes.json"
    path.write_text(json.dumps(ALL_LABELLED.to_dict()))
    assert LabelSpace.load(path) == ALL_LABELLED


def test_colors_may_be_absent_and_then_differ() -> None:
    space = LabelSpace.from_dict({"names": [f"class {i}" for i in range(256)]})
    assert len(set(space.colors)) == 256
    assert (0, 0, 0) not in space.colors


@pytest.mark.parametrize(("classes", "ignore"), [(255, 255), (256, 65535)])
def test_the_ignored_id_is_no_class_by_default(classes: int, ignore: int) -> None:
    assert LabelSpace.from_dict({"names": [f"class {i}" for i in range(classes)]}).ignore == ignore


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[1]", "expected an object"),
        ('{"classes": ["a"]}', "unknown key 'classes'"),
        ('{"names": ["a"], "colours": [[0, 0, 0]]}', "did you mean 'colors'"),
        ('{"colors": []}', '"names" must be'),
        ('{"names": "sky"}', '"names" must be'),
        ('{"names": []}', "at least one class"),
        ('{"names": ["a", 3]}', "non-empty strings, got 3"),
        ('{"names": ["a", "a"]}', "'a' appears more than once"),
        ('{"names": ["a", "b"], "colors": [[0, 0, 0]]}', "2 names but 1 colors"),
        ('{"names": ["a"], "colors": [[0, 0, 256]]}', r"color of 'a' must be .* got \[0, 0, 256\]"),
        ('{"names": ["a"], "colors": ["red"]}', r'"colors" must be a list of \[r, g, b\]'),
        ('{"names": ["a", "b"], "ignore": 1}', "ignore = 1 is also the id of class 'b'"),
        ('{"names": ["a"], "ignore": -1}', "ignore must be an id"),
        ('{"names": ["a"], "ignore": true}', "ignore must be an id"),
    ],
)
def test_faults_of_classes_json_name_the_file(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "classes.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        LabelSpace.load(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_missing_classes_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"classes\.json: no such file; write one like"):
        LabelSpace.load(tmp_path / "classes.json")
