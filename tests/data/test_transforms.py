import numpy as np
import pytest
from PIL import Image

from ccfpse.data import PairedTransform


def coordinates(height: int, width: int) -> tuple[Image.Image, np.ndarray]:
    """A photo whose red is the row and green the column, and a map that holds row·256 + column."""
    rows, columns = np.mgrid[:height, :width]
    photo = np.dstack([rows, columns, 0 * rows]).astype(np.uint8)
    return Image.fromarray(photo), (rows * 256 + columns).astype(np.uint16)


def test_nearest_takes_pixel_centres() -> None:
    photo, labels = coordinates(2, 6)
    _, out, _ = PairedTransform((4, 3))(photo, labels)
    # 2 -> 4 rows: centres 0.25 0.75 1.25 1.75; 6 -> 3 columns: centres 1 3 5
    assert (out // 256).tolist() == [[0] * 3, [0] * 3, [1] * 3, [1] * 3]
    assert (out % 256).tolist() == [[1, 3, 5]] * 4
    assert out.dtype == np.uint16


def test_sixteen_bit_ids_survive_resizing() -> None:
    labels = np.array([[65535, 300], [256, 12345]], dtype=np.uint16)
    _, out, instances = PairedTransform((4, 4))(Image.new("RGB", (2, 2)), labels, labels.astype(np.int32) * 3)
    assert set(np.unique(out)) == {65535, 300, 256, 12345}
    assert instances is not None
    assert (instances == out.astype(np.int32) * 3).all()


@pytest.mark.parametrize("seed", range(8))
def test_photo_and_maps_are_cut_alike(seed: int) -> None:
    photo, labels = coordinates(30, 50)
    transform = PairedTransform((16, 24), load_size=(30, 50), flip=True)
    pixels, out, instances = transform(photo, labels, labels, np.random.default_rng(seed))
    assert pixels.shape == (16, 24, 3)
    assert (pixels[..., 0] == out // 256).all()
    assert (pixels[..., 1] == out % 256).all()
    assert instances is not None
    assert (instances == out).all()


def test_all_crops_and_both_directions_occur_and_only_they() -> None:
    photo, labels = coordinates(6, 7)
    transform = PairedTransform((4, 4), load_size=(6, 7), flip=True)
    seen = set()
    rng = np.random.default_rng(1)
    for _ in range(400):
        out = transform(photo, labels, None, rng)[1].astype(int)
        mirrored = bool(out[0, 0] > out[0, 1])
        left = int(out[0, -1] if mirrored else out[0, 0]) % 256
        seen.add((int(out[0, 0]) // 256, left, mirrored))
    assert seen == {(y, x, mirror) for y in range(3) for x in range(4) for mirror in (False, True)}


def test_pure_function_of_the_generator() -> None:
    photo, labels = coordinates(40, 40)
    transform = PairedTransform((16, 16), load_size=(24, 24), flip=True)
    first, second = (transform(photo, labels, None, np.random.default_rng([3, 7])) for _ in range(2))
    assert (first[0] == second[0]).all()
    assert (first[1] == second[1]).all()


def test_without_generator_central_and_unflipped() -> None:
    photo, labels = coordinates(10, 10)
    out = PairedTransform((4, 6), load_size=(10, 10), flip=True)(photo, labels)[1]
    assert out[0, 0] == 3 * 256 + 2
    assert out[0, 1] == out[0, 0] + 1


def test_center_crop_ignores_the_generator_but_flip_does_not() -> None:
    photo, labels = coordinates(10, 10)
    transform = PairedTransform((4, 4), load_size=(10, 10), flip=True, crop="center")
    corners = {int(transform(photo, labels, None, np.random.default_rng(i))[1][0, 0]) for i in range(20)}
    assert corners == {3 * 256 + 3, 3 * 256 + 6}


def test_cover_keeps_the_aspect_ratio() -> None:
    photo, labels = coordinates(100, 200)
    transform = PairedTransform((50, 50), resize="cover")
    out = transform(photo, labels)[1].astype(int)
    # 100×200 becomes 50×100: every second pixel; the central 50 columns start at column 25 of 100
    assert out.shape == (50, 50)
    assert out[1, 0] // 256 - out[0, 0] // 256 == 2
    assert out[0, 1] - out[0, 0] == 2
    assert out[0, 0] % 256 == 51
    lefts = {int(transform(photo, labels, None, np.random.default_rng(i))[1][0, 0]) % 256 for i in range(50)}
    assert min(lefts) < 20
    assert max(lefts) > 80


def test_photos_are_resized_smoothly() -> None:
    pixels = np.zeros((8, 8, 3), dtype=np.uint8)
    pixels[:, ::2] = 200
    out = PairedTransform((4, 4))(Image.fromarray(pixels), np.zeros((8, 8), dtype=np.uint8))[0]
    assert 80 < out[:, 1:3].mean() < 120  # the average of the stripes, not one of them


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": (0, 4)}, "size must be"),
        ({"size": (4, 4, 4)}, "size must be"),
        ({"size": (8, 8), "load_size": (9, 7)}, r"load_size \(9, 7\) is smaller"),
        ({"size": (8, 8), "crop": "middle"}, "crop must be"),
        ({"size": (8, 8), "resize": "fit"}, "resize must be"),
    ],
)
def test_wrong_arguments(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PairedTransform(**arguments)
