"""Bytes into label maps, instance maps and photos; sizes are checked before pixels are decoded."""

import io
import struct
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageOps

from ccfpse.labels import LabelSpace
from ccfpse.pictures import to_rgb
from ccfpse.server.errors import ApiError

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PHOTO_FORMATS = ("JPEG", "PNG", "WEBP")
PHOTO_SIDE = 1024  # longer photos are shrunk to this; style encoders see far less
SHRINKABLE = ("L", "LA", "RGB", "RGBA", "CMYK")  # modes in which Pillow can average neighbours

BLACK = (0, 0, 0)


def read_layout(content: bytes, space: LabelSpace, max_pixels: int, *, nearest: bool = False) -> np.ndarray:
    """A label map from a PNG: H×W integer ids, validated against the label space.

    Grey and indexed PNGs hold ids. RGB PNGs hold class colours, and so do indexed ones whose used palette
    entries are all class colours. Colours must be exact unless `nearest`. Raises ApiError.
    """
    pixels, palette = _decode_png(content, max_pixels, "labels")
    if pixels.ndim == 3:
        ids = _ids_of_colors(pixels, space, nearest)
    else:
        ids = pixels if palette is None else _ids_of_indices(pixels, palette, space)
    return _validated(ids, space)


def read_raw(content: bytes, width: int, height: int, max_pixels: int, where: str) -> np.ndarray:
    """H×W ids from raw bytes, rows from the top: uint8, or uint16 little-endian where twice as many came."""
    _check_pixels(width, height, max_pixels, where)
    for dtype in ("u1", "<u2"):
        if len(content) == width * height * np.dtype(dtype).itemsize:
            return np.frombuffer(content, dtype).reshape(height, width)
    raise ApiError(
        422,
        "wrong_size",
        f"{where}: {len(content)} bytes are not {width}×{height} ids; send {width * height} bytes (8-bit) or "
        f"{2 * width * height} (16-bit, little-endian), or a PNG without width and height",
    )


def read_raw_layout(
    content: bytes, width: int, height: int, space: LabelSpace, max_pixels: int
) -> np.ndarray:
    """`read_raw`, validated against the label space."""
    return _validated(read_raw(content, width, height, max_pixels, "labels"), space)


def read_instances(content: bytes, max_pixels: int) -> np.ndarray:
    """H×W instance ids from a grey or indexed PNG of 8 or 16 bits."""
    pixels, _ = _decode_png(content, max_pixels, "instances")
    if pixels.ndim == 3:
        raise ApiError(422, "wrong_image", "instances: a colour PNG; send ids as a grey PNG of 8 or 16 bits")
    return pixels


def read_photo(content: bytes, max_pixels: int) -> np.ndarray:
    """A photo (JPEG, PNG or WebP) as H×W×3 uint8, turned upright and at most PHOTO_SIDE long.

    Its colours are those that data sets are read with: transparency is laid over white, 16 bits are scaled.
    """
    try:
        with Image.open(io.BytesIO(content), formats=PHOTO_FORMATS) as image:
            _check_pixels(*image.size, max_pixels, "reference")
            image.draft("RGB", (PHOTO_SIDE, PHOTO_SIDE))
            ImageOps.exif_transpose(image, in_place=True)
            # The other modes are turned into RGB while they are large, which takes more memory. A transparent
            # colour must go before shrinking, too, since it would be blended into its neighbours.
            plain = image.mode in SHRINKABLE and "transparency" not in image.info
            photo = image if plain else to_rgb(image)
            photo.thumbnail((PHOTO_SIDE, PHOTO_SIDE), Image.Resampling.LANCZOS)
            return np.array(to_rgb(photo))
    except ApiError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_large("reference", max_pixels) from None
    except Exception:  # image decoders meet broken files with exceptions of every kind
        raise ApiError(422, "not_an_image", "reference: not a readable JPEG, PNG or WebP file") from None


def check_size(layout: np.ndarray, multiple: int, max_pixels: int) -> None:
    """ApiError unless the label map's sides are multiples of the model's and its area is within the limit."""
    height, width = layout.shape
    _check_pixels(width, height, max_pixels, "labels")
    if height % multiple or width % multiple:
        near = "×".join(str(max(multiple, round(side / multiple) * multiple)) for side in (width, height))
        raise ApiError(
            422,
            "wrong_size",
            f"labels: {width}×{height} (width×height), but this model takes multiples of {multiple}; "
            f"resize to {near} without interpolation (nearest neighbour)",
        )


def _decode_png(content: bytes, max_pixels: int, where: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Exact values: H×W ids (and the palette K×3 of an indexed PNG), or H×W×3 colours."""
    if len(content) < 33 or not content.startswith(PNG_SIGNATURE) or content[12:16] != b"IHDR":
        raise ApiError(422, "not_an_image", f"{where}: not a PNG; lossy formats would change class ids")
    width, height, depth, color_type = struct.unpack(">IIBB", content[16:26])
    _check_pixels(width, height, max_pixels, where)
    if (depth, color_type) == (16, 4):  # Pillow gives the upper halves, as colours
        raise ApiError(
            422, "wrong_image", f"{where}: 16-bit grey with an alpha channel; save it as 16-bit grey without"
        )
    try:
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            if image.size != (width, height):  # Pillow takes the last of several headers
                raise ApiError(422, "not_an_image", f"{where}: a PNG with more than one header")
            image.load()
            if color_type == 3:
                palette = np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
                return np.asarray(image, dtype=np.uint8), palette
            if color_type == 0:
                values = np.asarray(image).astype(np.uint16)
                # Pillow stretches grey values of 2 and 4 bits to 0..255; ids must stay as they are.
                return values // {2: 85, 4: 17}.get(depth, 1), None
            return _opaque(image, where), None
    except ApiError:
        raise
    except Exception:  # image decoders meet broken files with exceptions of every kind
        raise ApiError(422, "not_an_image", f"{where}: a damaged PNG") from None


def _opaque(image: Image.Image, where: str) -> np.ndarray:
    """Grey ids or RGB colours of an image of colour type 2, 4 or 6, whose alpha channel must hide nothing."""
    if image.mode in ("LA", "RGBA"):
        hidden = int(np.count_nonzero(np.asarray(image.getchannel("A")) != 255))
        if hidden:
            raise ApiError(
                422, "wrong_image", f"{where}: {hidden} pixels are transparent; flatten it on one class first"
            )
        image = image.convert(image.mode[:-1])
    if image.mode not in ("L", "RGB"):
        raise ApiError(422, "wrong_image", f"{where}: PNG mode {image.mode} holds neither ids nor 8-bit RGB")
    return np.asarray(image)


def _class_colors(space: LabelSpace) -> dict[tuple[int, int, int], int]:
    """Class by colour, for colours that are of one class only; black is `ignore` unless a class has it."""
    ids: dict[tuple[int, int, int], int] = {}
    for i, color in enumerate(space.colors):
        if space.colors.count(color) == 1:
            ids[color] = i
    if space.ignore is not None and BLACK not in space.colors:
        ids[BLACK] = space.ignore
    return ids


def _ids_of_indices(indices: np.ndarray, palette: np.ndarray, space: LabelSpace) -> np.ndarray:
    by_color = _class_colors(space)
    table = np.arange(256, dtype=np.uint16)
    for i in np.flatnonzero(np.bincount(indices.ravel(), minlength=256)):
        color = tuple(palette[i].tolist()) if i < len(palette) else None
        if i == space.ignore and color == BLACK:  # as unlabelled is saved, also where a class is black
            continue
        if color not in by_color:
            return indices
        table[i] = by_color[color]
    return table[indices]


def _ids_of_colors(colors: np.ndarray, space: LabelSpace, nearest: bool) -> np.ndarray:
    packed = colors.astype(np.uint32) @ np.array([65536, 256, 1], np.uint32)
    found, inverse, counts = np.unique(packed, return_inverse=True, return_counts=True)
    parts = np.stack([found >> 16, found >> 8 & 255, found & 255], axis=1).astype(np.int32)
    by_color = _class_colors(space)
    known = np.array(list(by_color), np.int32).reshape(-1, 3)
    ids = np.array(list(by_color.values()), np.int64)
    distance = np.full(len(parts), np.iinfo(np.int32).max, np.int32)
    best = np.zeros(len(parts), np.int64)
    for color, i in zip(known, ids, strict=True):
        here = np.square(parts - color).sum(axis=1, dtype=np.int32)
        closer = here < distance
        distance[closer], best[closer] = here[closer], i
    off = distance > 0
    if off.any() and not nearest:
        raise _unknown_colors(parts[off], counts[off])
    return best[inverse].reshape(colors.shape[:2])


def _unknown_colors(colors: np.ndarray, counts: np.ndarray) -> ApiError:
    order = np.argsort(-counts, kind="stable")[:3]
    listed = ", ".join("#{:02x}{:02x}{:02x} ({} pixels)".format(*colors[i], counts[i]) for i in order)
    more = f" and {len(colors) - 3} more" if len(colors) > 3 else ""
    return ApiError(
        422,
        "unknown_color",
        f"labels: {counts.sum()} pixels have a colour of no class: {listed}{more}; "
        "send class ids, the exact class colours, or ask for the nearest class",
    )


def _validated(ids: np.ndarray, space: LabelSpace) -> np.ndarray:
    try:
        space.validate(ids, "labels")
    except ValueError as error:
        raise ApiError(422, "unknown_id", str(error)) from None
    return ids


def _check_pixels(width: int, height: int, max_pixels: int, where: str) -> None:
    if width * height > max_pixels:
        raise _too_large(where, max_pixels, f"{width}×{height}")
    if not width * height:
        raise ApiError(422, "wrong_size", f"{where}: {width}×{height} holds no pixel")


def _too_large(where: str, max_pixels: int, size: str = "the image") -> ApiError:
    return ApiError(413, "too_large", f"{where}: {size} is over the limit of {max_pixels} pixels")


def same_size(instances: np.ndarray, layout: np.ndarray) -> None:
    """ApiError unless the instance map has the label map's size."""
    if instances.shape != layout.shape:
        sizes: Sequence[str] = ["×".join(map(str, a.shape[::-1])) for a in (instances, layout)]
        raise ApiError(422, "wrong_size", f"instances: {sizes[0]}, but labels: {sizes[1]} (width×height)")
