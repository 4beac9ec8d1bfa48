import numpy as np
import pytest

from ccfpse.data.coco_masks import (
    Region,
    decode_runs,
    expand_counts,
    paint,
    polygon_region,
    segmentation_region,
)


def placed(region: Region, size: tuple[int, int]) -> list[list[int]]:
    whole = np.zeros(size, dtype=int)
    height, width = region.mask.shape
    whole[region.top : region.top + height, region.left : region.left + width] = region.mask
    return whole.tolist()


def test_rectangle_covers_the_pixels_whose_centres_it_holds() -> None:
    region = polygon_region([1, 0, 3, 0, 3, 2, 1, 2], (3, 4))
    assert placed(region, (3, 4)) == [[0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    shifted = polygon_region([1.6, 0.6, 3.4, 0.6, 3.4, 2.4, 1.6, 2.4], (3, 4))
    assert placed(shifted, (3, 4)) == [[0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]


def test_neighbouring_polygons_share_no_pixel_and_leave_no_gap() -> None:
    left = placed(polygon_region([0, 0, 2.5, 0, 1.5, 4, 0, 4], (4, 4)), (4, 4))
    right = placed(polygon_region([2.5, 0, 4, 0, 4, 4, 1.5, 4], (4, 4)), (4, 4))
    assert (np.array(left) + np.array(right) == 1).all()


def test_triangle() -> None:
    # x + y < 4; the centres on the diagonal are not inside
    region = polygon_region([0, 0, 4, 0, 0, 4], (4, 4))
    assert placed(region, (4, 4)) == [[1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]


def test_concave_polygon() -> None:
    u_shape = [0, 0, 1, 0, 1, 2, 2, 2, 2, 0, 3, 0, 3, 3, 0, 3]
    assert placed(polygon_region(u_shape, (3, 3)), (3, 3)) == [[1, 0, 1], [1, 0, 1], [1, 1, 1]]


def test_polygons_reaching_out_of_the_picture_are_cut() -> None:
    assert placed(polygon_region([-5, -5, 9, -5, 9, 1, -5, 1], (2, 3)), (2, 3)) == [[1, 1, 1], [0, 0, 0]]
    assert polygon_region([5, 5, 9, 5, 9, 9], (2, 3)).mask.sum() == 0


@pytest.mark.parametrize("polygon", [[], [1, 1], [0, 0, 3, 3], [0, 0, 3, 0, 2, 0]])
def test_degenerate_polygons_hold_nothing(polygon: list[float]) -> None:
    assert polygon_region(polygon, (4, 4)).mask.sum() == 0


@pytest.mark.parametrize("polygon", [[0, 0, 3], "abcd", [0, 0, float("nan"), 0, 1, 1]])
def test_wrong_polygons(polygon: list[float]) -> None:
    with pytest.raises(ValueError, match="polygon"):
        polygon_region(polygon, (4, 4))


def test_several_polygons_are_united() -> None:
    region = segmentation_region([[0, 0, 2, 0, 2, 1, 0, 1], [1, 0, 3, 0, 3, 1, 1, 1]], (2, 4))
    assert placed(region, (2, 4)) == [[1, 1, 1, 0], [0, 0, 0, 0]]


def test_runs_go_down_the_columns_and_start_with_zeros() -> None:
    # 3 rows × 2 columns: one 0, then three 1s (rest of the first column, top of the second), then 0s
    mask = decode_runs({"size": [3, 2], "counts": [1, 3, 2]}, (3, 2))
    assert mask.astype(int).tolist() == [[0, 1], [1, 0], [1, 0]]
    assert decode_runs({"size": [2, 2], "counts": [0, 4]}, (2, 2)).all()


def test_compressed_runs_by_hand() -> None:
    # Five bits per character, code = 48 + bits (+ 32: more follows); bit 16 of the last is the sign.
    assert expand_counts("132") == [1, 3, 2]
    assert expand_counts("T1") == [36]  # 36 = 4 + 1·32: 'T' = 48 + 4 + 32, '1' = 48 + 1
    assert expand_counts(b"`0") == [16]  # 16 alone would read as negative: a second character of zero bits
    # From the fourth on, differences to the one two before: 5 2 7 (2 + 1) (7 - 3)
    assert expand_counts("5271M") == [5, 2, 7, 3, 4]  # 'M' = 48 + 29, and 29 - 32 = -3
    mask = decode_runs({"size": [3, 7], "counts": "5271M"}, (3, 7))
    assert mask.T.ravel().astype(int).tolist() == [0] * 5 + [1] * 2 + [0] * 7 + [1] * 3 + [0] * 4


def test_compressed_runs_recorded_from_pycocotools() -> None:
    """pycocotools 2.0.11: encode of a 40×50 mask with rows 3-37, columns 2-9 set and row 20 cleared."""
    mask = np.zeros((40, 50), dtype=bool)
    mask[3:38, 2:10] = True
    mask[20] = False
    counts = r"c2a01040L040L040L040L040L040L040L0Qb1"
    assert (decode_runs({"size": [40, 50], "counts": counts}, (40, 50)) == mask).all()


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ({"size": [2, 2], "counts": [1, 2]}, "sum to 3, but the picture has 4"),
        ({"size": [2, 3], "counts": [6]}, r"size \[2, 3\], the picture is \[2, 2\]"),
        ({"size": [2, 2]}, '"counts"'),
        ({"size": [2, 2], "counts": "T"}, "middle of a number"),
        ({"size": [2, 2], "counts": "4 "}, "character"),
    ],
)
def test_wrong_runs(runs: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decode_runs(runs, (2, 2))


def test_wrong_segmentation() -> None:
    with pytest.raises(ValueError, match="polygons or run lengths, got str"):
        segmentation_region("5271M", (3, 3))


def test_small_over_large_over_crowd() -> None:
    row = [Region(0, 0, np.ones((1, n), dtype=bool)) for n in (2, 4, 5)]
    assert paint(row, [False, False, False], (1, 6)).tolist() == [[1, 1, 2, 2, 3, 0]]
    assert paint(row, [True, False, False], (1, 6)).tolist() == [[2, 2, 2, 2, 3, 0]]
    equal = [Region(0, 0, np.ones((1, 3), dtype=bool)), Region(0, 2, np.ones((1, 3), dtype=bool))]
    assert paint(equal, [False, False], (1, 6)).tolist() == [[1, 1, 2, 2, 2, 0]]
