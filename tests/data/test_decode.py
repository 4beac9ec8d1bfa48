import io
import pickle
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageOps

from ccfpse.data.decode import decode_instances, decode_labels, decode_photo, encode_ids
from ccfpse.data.sample import CorruptSample

IDS = np.array([[0, 1, 2], [255, 2, 1]], dtype=np.uint8)


def encoded(image: Image.Image | np.ndarray, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(buffer, kind, **options)
    return buffer.getvalue()


def png_of(bits: int, rows: list[bytes], width: int, color_type: int = 0) -> bytes:
    """A PNG of any bit depth, by hand after its specification; color_type: 0 grey, 2 RGB, 3 indexed."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, len(rows), bits, color_type, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def test_eight_bit_labels() -> None:
    assert decode_labels("a.png", encoded(IDS)).tolist() == IDS.tolist()


def test_palette_labels_are_indices() -> None:
    image = Image.fromarray(IDS)
    image.putpalette([255 - i // 3 for i in range(768)])
    assert image.mode == "P"
    assert decode_labels("a.png", encoded(image)).tolist() == IDS.tolist()


def test_sixteen_bit_labels() -> None:
    ids = np.array([[0, 255, 256], [1000, 65535, 3]], dtype=np.uint16)
    assert decode_labels("a.png", encoded(ids)).tolist() == ids.tolist()
    by_hand = png_of(16, [bytes([0x12, 0x34, 0xFF, 0xFF])], 2)
    assert decode_labels("a.png", by_hand).tolist() == [[0x1234, 0xFFFF]]


def test_ids_below_eight_bits_are_not_stretched() -> None:
    four = png_of(4, [bytes([0x0F, 0x73]), bytes([0x12, 0x34])], 4)
    assert decode_labels("four.png", four).tolist() == [[0, 15, 7, 3], [1, 2, 3, 4]]
    two = png_of(2, [bytes([0b00011011])], 4)
    assert decode_labels("two.png", two).tolist() == [[0, 1, 2, 3]]
    one = png_of(1, [bytes([0b01100000])], 4)
    assert decode_labels("one.png", one).tolist() == [[0, 1, 1, 0]]


def test_colour_labels_are_refused_with_a_pointer() -> None:
    colour = encoded(np.dstack([IDS, IDS // 2, IDS]))
    with pytest.raises(CorruptSample, match=r"a\.png: .* mode RGB.*ccfpse data convert palette"):
        decode_labels("a.png", colour)
    for grey in (np.dstack([IDS] * 3), np.dstack([IDS, np.full_like(IDS, 255)])):
        with pytest.raises(CorruptSample, match=r"its channels are equal: .* remap SRC DST --ids 0:0"):
            decode_labels("a.png", encoded(grey))
        assert (decode_labels("a.png", encoded(grey), equal_channels=True) == IDS).all()
    with pytest.raises(CorruptSample, match="convert palette"):
        decode_labels("a.png", colour, equal_channels=True)


def test_photos_of_phones_are_told_by_name() -> None:
    with pytest.raises(CorruptSample, match=r"a\.jpg: .* \(HEIC or AVIF\); convert it to JPEG or PNG"):
        decode_photo("a.jpg", b"\0\0\0\x18ftypheic" + bytes(40))


def test_jpeg_labels_are_refused() -> None:
    with pytest.raises(CorruptSample, match="JPEG"):
        decode_labels("a.png", encoded(IDS, "JPEG"))


def test_instances_in_colours_are_packed() -> None:
    colours = np.array([[[1, 2, 3], [255, 0, 0]]], dtype=np.uint8)
    assert decode_instances("a.png", encoded(colours)).tolist() == [[1 + 2 * 256 + 3 * 65536, 255]]
    alpha = np.array([[[1, 0, 0, 2]]], dtype=np.uint8)
    assert decode_instances("a.png", encoded(alpha)).tolist() == [[1 + 2 * 2**24]]
    ids = np.array([[0, 40000]], dtype=np.uint16)
    assert decode_instances("a.png", encoded(ids)).tolist() == [[0, 40000]]


@pytest.mark.parametrize(("top", "bits"), [(0, 8), (255, 8), (256, 16), (65535, 16)])
def test_ids_are_written_as_narrow_as_they_fit(top: int, bits: int) -> None:
    content = encode_ids(np.array([[0, top]], dtype=np.int64))
    assert content[24] == bits  # the bit depth in the PNG header
    assert decode_labels("a.png", content).tolist() == [[0, top]]


@pytest.mark.parametrize("wrong", [-1, 65536])
def test_ids_that_no_png_holds(wrong: int) -> None:
    with pytest.raises(ValueError, match=r"must be 0\.\.65535"):
        encode_ids(np.array([[0, wrong]]))


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "CMYK", "RGBA", "LA", "1"])
def test_photos_of_any_mode_become_rgb(mode: str) -> None:
    content = encoded(Image.new("RGB", (5, 4), "white").convert(mode), "JPEG" if mode == "CMYK" else "PNG")
    photo = decode_photo("photo", content)
    assert (photo.mode, photo.size) == ("RGB", (5, 4))
    assert np.asarray(photo).min() >= 250


def test_transparency_is_laid_over_white() -> None:
    photo = decode_photo("a.png", encoded(Image.new("RGBA", (2, 2), (10, 20, 30, 0))))
    assert photo.getpixel((0, 0)) == (255, 255, 255)


def test_sixteen_bit_photo_is_scaled() -> None:
    photo = decode_photo("a.png", encoded(np.full((2, 2), 0x80FF, dtype=np.uint16)))
    assert photo.getpixel((0, 0)) == (0x80, 0x80, 0x80)


def test_exif_orientation() -> None:
    """Orientation 6: the stored picture is shown turned clockwise by 90°, so its left side goes on top."""
    pixels = np.zeros((4, 8, 3), dtype=np.uint8)
    pixels[:, 0] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encoded(pixels, exif=exif)
    shown = np.asarray(decode_photo("a.png", content, (8, 4)))
    assert shown.shape == (8, 4, 3)
    assert shown[0].min() == 255
    assert shown[1:].max() == 0
    stored = np.asarray(decode_photo("a.png", content, (4, 8)))  # a label map drawn over the stored pixels
    assert (stored == pixels).all()
    with pytest.raises(CorruptSample, match=r"photo is 8×4 .* label map is 5×5"):
        decode_photo("a.png", content, (5, 5))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_shown_as_pillow_shows_it(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(np.arange(96, dtype=np.uint8).reshape(4, 8, 3), exif=exif)
    with Image.open(io.BytesIO(content)) as image:
        shown = ImageOps.exif_transpose(image)
    assert (np.asarray(decode_photo("a.png", content)) == np.asarray(shown)).all()


def test_damaged_exif_refuses_no_photo() -> None:
    content = encoded(Image.new("RGB", (8, 4)), "JPEG", exif=b"Exif\0\0garbage")
    assert decode_photo("a.jpg", content, (4, 8)).size == (8, 4)


def test_broken_files_name_themselves() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    jpeg, png = encoded(noise, "JPEG"), encoded(noise[..., 0])
    damaged = bytearray(png)
    damaged[200] ^= 0xFF
    broken: list[tuple[Callable[..., object], bytes]] = [
        (decode_photo, jpeg[: len(jpeg) // 2]),
        (decode_photo, b"<html>404</html>"),
        (decode_photo, b""),
        (decode_labels, png[: len(png) // 2]),
        (decode_labels, bytes(damaged)),
        (decode_labels, b"GIF89a"),
        (decode_instances, b"<html>404</html>"),
    ]
    for decode, content in broken:
        with pytest.raises(CorruptSample) as caught:
            decode("data/broken.png", content)
        assert caught.value.path == "data/broken.png"
        assert str(caught.value).startswith("data/broken.png: cannot be decoded as a")


def test_corrupt_sample_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(CorruptSample("a.png", "is broken", "buy a new one")))
    assert isinstance(error, CorruptSample)
    assert (error.path, error.reason, error.cure) == ("a.png", "is broken", "buy a new one")
    assert str(error) == "a.png: is broken; buy a new one"


def test_a_palette_png_without_its_palette_is_named() -> None:
    with pytest.raises(CorruptSample, match=r"a\.png: cannot be decoded as a photo"):
        decode_photo("a.png", png_of(8, [b"\1\2"], 2, color_type=3))


def test_instance_maps_of_sixteen_bit_colours_are_refused() -> None:
    """Pillow would keep the upper halves alone."""
    content = png_of(16, [b"\0\1\0\0\0\0\0\2\0\0\0\0"], 2, color_type=2)
    with pytest.raises(CorruptSample, match=r"16-bit colours.*16-bit greyscale PNG"):
        decode_instances("a.png", content)
