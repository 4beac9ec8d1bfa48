"""Layouts and photos out of bytes: the cases in which what a file holds and what Pillow gives differ."""

import io

import numpy as np
import pngs
import pytest
from fake_engine import SPACE
from PIL import Image

from ccfpse.data.decode import decode_photo
from ccfpse.labels import LabelSpace
from ccfpse.server.decoding import read_instances, read_layout, read_photo
from ccfpse.server.errors import ApiError

LIMIT = 10**7
DEEP_GREY_WITH_ALPHA = pngs.encode([b"\0\1\xff\xff" * 4] * 3, 4, 16, 4)


def test_unlabelled_of_a_saved_layout_stays_so_where_a_class_is_black():
    space = LabelSpace(("background", "cat"), ((0, 0, 0), (64, 0, 0)))
    palette = [*space.colors, *[(0, 0, 0)] * 254]  # as the studio saves it: colours without a class are black
    ids = np.array([[0, 1, 255], [255, 255, 0]])
    assert read_layout(pngs.indexed(ids, palette), space, LIMIT).tolist() == ids.tolist()
    # Any other index that is black still means the class.
    assert read_layout(pngs.indexed(np.array([[7, 1]]), palette), space, LIMIT).tolist() == [[0, 1]]


@pytest.mark.parametrize(
    "read",
    [lambda content: read_layout(content, SPACE, LIMIT), lambda content: read_instances(content, LIMIT)],
)
def test_deep_grey_with_alpha_is_refused_as_its_lower_halves_would_be_lost(read):
    with pytest.raises(ApiError) as caught:
        read(DEEP_GREY_WITH_ALPHA)
    assert (caught.value.status_code, caught.value.code) == (422, "wrong_image")
    assert "save it as 16-bit grey without" in caught.value.detail


def encoded(image, kind="PNG", orientation=1, **options):
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    image.save(buffer, kind, exif=exif, **options)
    return buffer.getvalue()


COLORS = np.random.default_rng(0).integers(0, 256, (5, 7, 4), dtype=np.uint8)
DEEP = np.random.default_rng(1).integers(0, 65536, (5, 7), dtype=np.uint16)
PALETTE = Image.fromarray(COLORS[..., :3]).quantize(16)
PHOTOS = {
    "RGBA": encoded(Image.fromarray(COLORS)),
    "RGBA, turned": encoded(Image.fromarray(COLORS), orientation=6),
    "WebP with alpha": encoded(Image.fromarray(COLORS), "WEBP", lossless=True, exact=True),
    "grey and alpha": encoded(Image.fromarray(COLORS[..., :2].copy(), "LA")),
    "16-bit grey": encoded(Image.fromarray(DEEP)),
    "16-bit grey, turned": encoded(Image.fromarray(DEEP), orientation=8),
    "palette": encoded(PALETTE),
    "palette, one colour transparent": encoded(PALETTE, transparency=3),
    "RGB, one colour transparent": encoded(
        Image.fromarray(COLORS[..., :3].copy()), transparency=tuple(COLORS[2, 2, :3].tolist())
    ),
    "CMYK": encoded(Image.fromarray(COLORS).convert("RGB").convert("CMYK"), "JPEG"),
    "JPEG, turned": encoded(Image.fromarray(COLORS).convert("RGB"), "JPEG", orientation=5),
}


@pytest.mark.parametrize("kind", PHOTOS)
def test_photos_have_the_pixels_that_data_sets_have(kind):
    assert read_photo(PHOTOS[kind], LIMIT).tolist() == np.asarray(decode_photo(kind, PHOTOS[kind])).tolist()


def test_large_photos_show_no_hidden_colours_and_no_clipped_ones():
    striped = np.zeros((4, 2048, 4), np.uint8)
    striped[...] = (200, 0, 0, 0)  # transparent, so that white is seen
    striped[:, 1::2] = (0, 0, 0, 255)
    key = Image.fromarray(striped[..., :3].copy())
    for content in (encoded(Image.fromarray(striped)), encoded(key, transparency=(200, 0, 0))):
        photo = read_photo(content, LIMIT).astype(int)
        assert photo.shape == (2, 1024, 3)
        assert (np.ptp(photo, axis=-1) <= 1).all()  # grey
        assert abs(photo.mean() - 127.5) < 3
    deep = read_photo(encoded(Image.fromarray(np.full((8, 2048), 0x80FF, np.uint16))), LIMIT)
    assert (deep.shape, np.unique(deep).tolist()) == ((4, 1024, 3), [0x80])
