"""PNG files written byte by byte, so that what a test opens does not come from the library that reads it."""

import struct
import zlib

import numpy as np


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def encode(
    rows: list[bytes],
    width: int,
    depth: int,
    color_type: int,
    palette: bytes = b"",
    height: int | None = None,
) -> bytes:
    """A PNG of packed rows; color_type: 0 grey, 2 RGB, 3 indexed, 6 RGBA; height: what the header claims."""
    header = struct.pack(">IIBBBBB", width, height or len(rows), depth, color_type, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    middle = chunk(b"PLTE", palette) if palette else b""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + middle + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def grey(ids: np.ndarray, depth: int = 8) -> bytes:
    """H×W ids as a grey PNG of 1, 2, 4, 8 or 16 bits."""
    if depth == 16:
        rows = [row.astype(">u2").tobytes() for row in ids]
    else:
        bits = (ids[..., None] >> np.arange(depth - 1, -1, -1)) & 1
        rows = [np.packbits(row.reshape(-1)).tobytes() for row in bits]
    return encode(rows, ids.shape[1], depth, 0)


def indexed(indices: np.ndarray, palette: list[tuple[int, int, int]]) -> bytes:
    rows = [row.astype(np.uint8).tobytes() for row in indices]
    return encode(rows, indices.shape[1], 8, 3, bytes(part for color in palette for part in color))


def colored(pixels: np.ndarray) -> bytes:
    """H×W×3 or H×W×4 uint8 as a PNG."""
    rows = [row.astype(np.uint8).tobytes() for row in pixels]
    return encode(rows, pixels.shape[1], 8, {3: 2, 4: 6}[pixels.shape[2]])
