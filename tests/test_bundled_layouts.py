"""The bundled layouts: drawn by their script, valid in every id, shaped like the facades the model knows."""

import math
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from ccfpse.labels import LabelSpace
from shared_files import REPOSITORY

BUNDLED = REPOSITORY / "src" / "ccfpse" / "bundled"
STEMS = sorted(path.stem for path in (BUNDLED / "layouts").glob("*.png"))


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.fixture(scope="module")
def script() -> ModuleType:
    sys.path.insert(0, str(REPOSITORY / "examples"))
    try:
        import draw_layouts
    finally:
        sys.path.pop(0)
    return draw_layouts


@pytest.fixture(scope="module")
def space() -> LabelSpace:
    return LabelSpace.load(BUNDLED / "classes.json")


def test_the_script_draws_the_bundled_files(script: ModuleType, tmp_path: Path) -> None:
    script.main(tmp_path)
    drawn = {path.relative_to(tmp_path) for path in tmp_path.rglob("*.png")}
    assert drawn == {path.relative_to(BUNDLED / "layouts") for path in (BUNDLED / "layouts").rglob("*.png")}
    assert len(drawn) == 2 * len(STEMS) >= 16
    for name in drawn:
        np.testing.assert_array_equal(read(tmp_path / name), read(BUNDLED / "layouts" / name), str(name))


def test_examples_show_the_same_folder_and_it_is_small() -> None:
    assert (REPOSITORY / "examples" / "layouts").resolve() == BUNDLED / "layouts"
    assert sum(path.stat().st_size for path in (BUNDLED / "layouts").rglob("*.*")) < 60_000


@pytest.mark.parametrize("stem", STEMS)
def test_a_layout_holds_only_known_ids_in_their_colours(stem: str, space: LabelSpace) -> None:
    path = BUNDLED / "layouts" / f"{stem}.png"
    with Image.open(path) as image:
        assert (image.mode, image.size) == ("P", (256, 256))
        labels, colours = np.asarray(image), np.asarray(image.convert("RGB"))
    assert set(np.unique(labels)) <= {*range(11), 255}
    space.validate(labels, str(path))
    np.testing.assert_array_equal(colours, space.colorize(labels))
    assert (labels == 255).mean() < 0.02


@pytest.mark.parametrize("stem", STEMS)
def test_every_instance_has_one_class_and_only_sky_and_unlabelled_have_none(
    stem: str, space: LabelSpace
) -> None:
    labels, path = (
        read(BUNDLED / "layouts" / f"{stem}.png"),
        BUNDLED / "layouts" / "instances" / f"{stem}.png",
    )
    with Image.open(path) as image:
        assert (image.mode, image.size) == ("I;16", (256, 256))
    instances = read(path)
    pairs = np.unique(np.stack([instances, labels], axis=-1)[instances > 0], axis=0)
    np.testing.assert_array_equal(pairs[:, 0], np.arange(1, len(pairs) + 1))
    np.testing.assert_array_equal(instances == 0, np.isin(labels, [space.names.index("sky"), 255]))


def test_the_layouts_are_shaped_like_the_training_set(space: LabelSpace) -> None:
    """Bounds around mean shares and window sizes measured on every third of the 540 facades-384 label maps.

    There: facade 0.435, window 0.108, vegetation 0.150, street 0.038, sky 0.155; a window's height is 0.029
    to 0.133 of the picture's (10 to 90 %), and a picture has 7 to 39 windows.
    """
    labels = np.stack([read(BUNDLED / "layouts" / f"{stem}.png") for stem in STEMS])
    share = {name: float((labels == index).mean()) for index, name in enumerate(space.names)}
    assert min(share.values()) > 0, "a class that no layout shows"
    bounds = {"facade": (0.3, 0.5), "window": (0.08, 0.14), "vegetation": (0.08, 0.2), "street": (0.02, 0.08)}
    for name, (low, high) in (bounds | {"sky": (0.1, 0.25)}).items():
        assert low < share[name] < high, name
    for stem, picture in zip(STEMS, labels, strict=True):
        instances = read(BUNDLED / "layouts" / "instances" / f"{stem}.png")
        windows = np.unique(instances[picture == space.names.index("window")])
        heights = [np.ptp(np.nonzero(instances == window)[0]) + 1 for window in windows]
        assert 7 <= len(windows) <= 80, stem
        assert 0.029 < np.median(heights) / 256 < 0.133, stem


def test_a_pixel_is_covered_when_its_centre_is_inside(script: ModuleType) -> None:
    covered = sys.modules["facade_canvas"].covered
    square = np.array([(1, 1), (3, 1), (3, 4), (1, 4)], dtype=float)
    expected = np.zeros((5, 5), dtype=bool)
    expected[1:4, 1:3] = True
    np.testing.assert_array_equal(covered(square, 5), expected)
    below_diagonal = covered(np.array([(0, -0.25), (0, 4), (4.25, 4)]), 4)
    np.testing.assert_array_equal(below_diagonal, np.tri(4, dtype=bool))


def test_the_camera_projects_as_worked_out_by_hand(script: ModuleType) -> None:
    canvas = sys.modules["facade_canvas"].Canvas(0, pitch=45, focal=0.5, hand=0)
    ahead = canvas.project(np.array([[0.0, 11.6, 10.0], [5 * math.sqrt(2), 11.6, 10.0], [0.0, 1.6, 10.0]]))
    # 10 m up and 10 m away lies on the axis, 10·√2 m deep; a point level with the eye is 45° below it.
    np.testing.assert_allclose(ahead, [[128, 128], [128 + 64, 128], [128, 256]], atol=1e-9)


def test_a_wall_runs_along_its_ground_line_and_its_front_faces_the_camera(script: ModuleType) -> None:
    wall = sys.modules["facade_canvas"].Wall((0.0, 10.0), (3.0, 14.0))
    assert wall.length == 5.0
    np.testing.assert_allclose(wall.points([(5.0, 2.0)]), [[3.0, 2.0, 14.0]], atol=1e-12)
    np.testing.assert_allclose(wall.points([(0.0, 0.0)], out=5.0), [[4.0, 0.0, 7.0]], atol=1e-12)


def test_what_is_painted_later_covers_what_was_there(script: ModuleType) -> None:
    canvas = sys.modules["facade_canvas"].Canvas(0, pitch=0, hand=0)
    canvas.paint("facade", np.array([(0, 0), (4, 0), (4, 4), (0, 4)], dtype=float))
    canvas.paint("unlabelled", np.array([(2, 0), (4, 0), (4, 2), (2, 2)], dtype=float))
    assert canvas.labels[:4, :4].tolist() == [[0, 0, 255, 255]] * 2 + [[0, 0, 0, 0]] * 2
    assert canvas.instances[:4, :4].tolist() == [[1, 1, 0, 0]] * 2 + [[1, 1, 1, 1]] * 2
    assert canvas.labels[4, 4] == 10, "untouched pixels are sky"
    assert canvas.instances[4, 4] == 0
