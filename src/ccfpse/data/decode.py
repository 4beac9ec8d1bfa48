"""Bytes of image files into arrays and back: photos as people see them, id maps exactly as stored."""

import io
import struct
import zlib

import numpy as np
from PIL import ExifTags, Image

from ccfpse.data.sample import CorruptSample
from ccfpse.pictures import to_rgb

# What Pillow's codecs raise on broken files, over its versions and formats.
BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    RuntimeError,
    AssertionError,
    LookupError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)

PNG = b"\x89PNG"

# Greyscale PNGs below 8 bits are stretched to 0..255 by Pillow (raw mode -> factor); for ids that is undone.
STRETCHED = {"L;2": 85, "L;4": 17}

# What turns a stored photo as it is shown, by its EXIF orientation (1 is as stored).
SHOWN = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode_photo(name: str, content: bytes, size: tuple[int, int] | None = None) -> Image.Image:
    """A photo as an RGB PIL image.

    name: the file, for messages. size: (H, W) of the label map that belongs to it. The EXIF orientation is
    applied, since label maps are drawn over the photo as displayed, except where only the stored orientation
    has the label map's size. Greyscale, palette, CMYK and 16-bit photos are converted, transparency is laid
    over white. Raises CorruptSample.
    """
    try:
        with Image.open(io.BytesIO(content)) as opened:
            opened.load()
            stored = to_rgb(opened)
            turn = SHOWN.get(_orientation(opened))
            shown = stored if turn is None else stored.transpose(turn)
    except BROKEN as error:
        what = "HEIC or AVIF" if content[4:8] == b"ftyp" else _plain(error)
        cure = "convert it to JPEG or PNG" if content[4:8] == b"ftyp" else "replace or remove it"
        raise CorruptSample(name, f"cannot be decoded as a photo ({what})", cure) from error
    if size is None or shown.size == size[::-1]:
        return shown
    if stored.size == size[::-1]:
        return stored
    raise CorruptSample(
        name,
        f"photo is {shown.height}×{shown.width} (H×W), but its label map is {size[0]}×{size[1]}",
        "they must agree pixel for pixel; export both at one size",
    )


def decode_labels(name: str, content: bytes, *, equal_channels: bool = False) -> np.ndarray:
    """Class ids of a label PNG: H×W integers as stored, 8 or 16 bits, single channel or palette indices.

    equal_channels: take one of several that are equal, too. Raises CorruptSample for broken files and for
    colour images.
    """
    image = _open_ids(name, content, "label map")
    if len(image.getbands()) > 1:
        bands = np.asarray(image)[..., : 1 if image.mode == "LA" else 3]
        if image.mode in ("LA", "RGB", "RGBA") and (bands == bands[..., :1]).all():
            if equal_channels:
                _refuse_deep_colors(name, content, "label map")
                return bands[..., 0]
            cure = "its channels are equal: `ccfpse data convert remap SRC DST --ids 0:0` keeps the first"
        else:
            cure = "convert colour-coded label maps with `ccfpse data convert palette`"
        reason = f"label map has mode {image.mode}, but must hold one class id per pixel"
        raise CorruptSample(name, reason, cure)
    return _ids(image, name)


def decode_instances(name: str, content: bytes) -> np.ndarray:
    """Instance ids: H×W integers; 8 or 16 bits as stored, colours packed as R + 256·G + 65536·B (+ 2²⁴·A).

    Raises CorruptSample for broken files.
    """
    image = _open_ids(name, content, "instance map")
    _refuse_deep_colors(name, content, "instance map")
    if image.mode in ("RGB", "RGBA"):
        channels = np.asarray(image).astype(np.int64)
        return (channels << (8 * np.arange(channels.shape[-1]))).sum(axis=-1)
    return _ids(image, name)


def encode_ids(ids: np.ndarray) -> bytes:
    """A PNG that `decode_labels` and `decode_instances` read back: 8 bits where the ids allow it, else 16.

    ids: H×W integers 0..65535; ValueError outside.
    """
    if ids.size and (ids.min() < 0 or ids.max() > 65535):
        raise ValueError(f"ids of a PNG must be 0..65535, got {ids.min()}..{ids.max()}")
    wide = bool(ids.size) and ids.max() > 255
    return encode_png(Image.fromarray(ids.astype(np.uint16 if wide else np.uint8)))


def encode_png(image: Image.Image) -> bytes:
    """The content of a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _open_ids(name: str, content: bytes, kind: str) -> Image.Image:
    try:
        with Image.open(io.BytesIO(content)) as image:
            if image.format == "JPEG":
                raise CorruptSample(
                    name, f"{kind} is a JPEG, whose compression changes ids", "save it as PNG"
                )
            raw_mode = image.tile[0][3] if image.tile else None
            image.load()
            if isinstance(raw_mode, str) and raw_mode in STRETCHED:
                return Image.fromarray(np.asarray(image) // STRETCHED[raw_mode])
            return image.copy()
    except CorruptSample:
        raise
    except BROKEN as error:
        raise CorruptSample(name, f"cannot be decoded as a {kind} ({_plain(error)})") from error


def _refuse_deep_colors(name: str, content: bytes, kind: str) -> None:
    if content.startswith(PNG) and content[24] == 16 and content[25] != 0:  # bit depth and colour type
        reason = f"{kind} has 16-bit colours, of which only the upper halves could be read"
        raise CorruptSample(name, reason, "save it as a 16-bit greyscale PNG")


def _ids(image: Image.Image, name: str) -> np.ndarray:
    if image.mode == "1":
        return np.asarray(image).astype(np.uint8)
    if image.mode not in ("L", "P", "I", "I;16", "I;16B", "I;16L"):
        raise CorruptSample(name, f"has mode {image.mode}", "expected integer ids (8- or 16-bit PNG)")
    return np.asarray(image)


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation; 1 where there is none, and where EXIF data are damaged: the photo is good."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # Pillow raises what it likes there
        return 1


def _plain(error: BaseException) -> str:
    text = " ".join(str(error).split())[:200] or type(error).__name__
    return "not a known image format" if "cannot identify image file" in text else text
