import pickle
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ccfpse.data.decode import decode_instances, decode_labels, decode_photo
from ccfpse.data.sample import CorruptSample

IDS = np.array([[0, 1, 2], [255, 2, 1]], dtype=np.uint8)


def save(image: Image.Image, path: Path, **options: object) -> Path:
    image.save(path, **options)
    return path


def grey_png(bits: int, rows: list[bytes], width: int) -> bytes:
    """A greyscale PNG of any bit depth, written by hand after the PNG specification."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, len(rows), bits, 0, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def test_eight_bit_labels(tmp_path: Path) -> None:
    assert (decode_labels(save(Image.fromarray(IDS), tmp_path / "a.png")) == IDS).all()


def test_palette_labels_are_indices(tmp_path: Path) -> None:
    image = Image.fromarray(IDS, "L").convert("L")
    image.putpalette([255 - i // 3 for i in range(768)])
    assert image.mode == "P"
    assert (decode_labels(save(image, tmp_path / "a.png")) == IDS).all()


def test_sixteen_bit_labels(tmp_path: Path) -> None:
    ids = np.array([[0, 255, 256], [1000, 65535, 3]], dtype=np.uint16)
    decoded = decode_labels(save(Image.fromarray(ids), tmp_path / "a.png"))
    assert decoded.tolist() == ids.tolist()


def test_ids_below_eight_bits_are_not_stretched() -> None:
    four = grey_png(4, [bytes([0x0F, 0x73]), bytes([0x12, 0x34])], 4)
    assert decode_labels("four.png", four).tolist() == [[0, 15, 7, 3], [1, 2, 3, 4]]
    two = grey_png(2, [bytes([0b00011011])], 4)
    assert decode_labels("two.png", two).tolist() == [[0, 1, 2, 3]]
    one = grey_png(1, [bytes([0b01100000])], 4)
    assert decode_labels("one.png", one).tolist() == [[0, 1, 1, 0]]


def test_colour_labels_are_refused_with_a_pointer(tmp_path: Path) -> None:
    colour = np.dstack([IDS, IDS // 2, IDS])
    with pytest.raises(CorruptSample, match=r"a\.png: .* mode RGB.*ccfpse data convert palette"):
        decode_labels(save(Image.fromarray(colour), tmp_path / "a.png"))
    grey = np.dstack([IDS, IDS, IDS])
    with pytest.raises(CorruptSample, match="its channels are equal"):
        decode_labels(save(Image.fromarray(grey), tmp_path / "b.png"))


def test_jpeg_labels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CorruptSample, match="JPEG"):
        decode_labels(save(Image.fromarray(IDS), tmp_path / "a.png", format="JPEG"))


def test_instances_in_colours_are_packed(tmp_path: Path) -> None:
    colours = np.array([[[1, 2, 3], [255, 0, 0]]], dtype=np.uint8)
    path = save(Image.fromarray(colours), tmp_path / "a.png")
    assert decode_instances(path).tolist() == [[1 + 2 * 256 + 3 * 65536, 255]]
    alpha = np.array([[[1, 0, 0, 2]]], dtype=np.uint8)
    assert decode_instances(save(Image.fromarray(alpha), tmp_path / "b.png")).tolist() == [[1 + 2 * 2**24]]
    ids = np.array([[0, 40000]], dtype=np.uint16)
    assert decode_instances(save(Image.fromarray(ids), tmp_path / "c.png")).tolist() == [[0, 40000]]


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "CMYK", "RGBA", "LA", "1"])
def test_photos_of_any_mode_become_rgb(tmp_path: Path, mode: str) -> None:
    image = Image.new("RGB", (5, 4), "white").convert(mode)
    path = save(image, tmp_path / "photo", format="JPEG" if mode == "CMYK" else "PNG")
    photo = decode_photo(path)
    assert (photo.mode, photo.size) == ("RGB", (5, 4))
    assert np.asarray(photo).min() >= 250


def test_transparency_is_laid_over_white(tmp_path: Path) -> None:
    path = save(Image.new("RGBA", (2, 2), (10, 20, 30, 0)), tmp_path / "a.png")
    assert decode_photo(path).getpixel((0, 0)) == (255, 255, 255)


def test_sixteen_bit_photo_is_scaled(tmp_path: Path) -> None:
    path = save(Image.fromarray(np.full((2, 2), 0x80FF, dtype=np.uint16)), tmp_path / "a.png")
    assert decode_photo(path).getpixel((0, 0)) == (0x80, 0x80, 0x80)


def test_exif_orientation(tmp_path: Path) -> None:
    """Orientation 6: the stored picture is shown turned clockwise by 90°, so its left side goes on top."""
    pixels = np.zeros((4, 8, 3), dtype=np.uint8)
    pixels[:, 0] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    path = save(Image.fromarray(pixels), tmp_path / "a.png", exif=exif)
    shown = np.asarray(decode_photo(path, size=(8, 4)))
    assert shown.shape == (8, 4, 3)
    assert shown[0].min() == 255
    assert shown[1:].max() == 0
    stored = np.asarray(decode_photo(path, size=(4, 8)))  # a label map drawn over the stored pixels
    assert (stored == pixels).all()
    with pytest.raises(CorruptSample, match=r"photo is 8×4 .* label map 5×5"):
        decode_photo(path, size=(5, 5))


def test_broken_files_name_themselves(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    whole = save(Image.fromarray(noise), tmp_path / "whole.jpg").read_bytes()
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(whole[: len(whole) // 2])
    text = tmp_path / "text.png"
    text.write_text("<html>404</html>")
    (tmp_path / "empty.png").touch()
    flipped = bytearray(save(Image.fromarray(noise[..., 0]), tmp_path / "noise.png").read_bytes())
    flipped[200] ^= 0xFF
    (tmp_path / "flipped.png").write_bytes(flipped)
    for name, decode in [
        ("cut.jpg", decode_photo),
        ("text.png", decode_photo),
        ("empty.png", decode_labels),
        ("flipped.png", decode_labels),
        ("text.png", decode_instances),
    ]:
        with pytest.raises(CorruptSample) as caught:
            decode(tmp_path / name)
        assert caught.value.path == str(tmp_path / name)
        assert str(caught.value).startswith(f"{tmp_path / name}: ")
    with pytest.raises(CorruptSample):
        decode_photo(tmp_path / "absent.jpg")


def test_corrupt_sample_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(CorruptSample("a.png", "is broken")))
    assert isinstance(error, CorruptSample)
    assert (error.path, error.reason, str(error)) == ("a.png", "is broken", "a.png: is broken")
