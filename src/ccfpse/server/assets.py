"""The page's files, read once at the start, so that no path from a request is ever opened."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

STUDIO = Path(__file__).resolve().parents[1] / "studio"
MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True)
class Asset:
    """A file of the page."""

    content: bytes
    media_type: str
    etag: str


def load_assets(folder: Path = STUDIO) -> dict[str, Asset]:
    """Every file of the page by its path below the folder, such as "js/main.js"."""
    assets = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix in MEDIA_TYPES:
            content = path.read_bytes()
            etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
            assets[path.relative_to(folder).as_posix()] = Asset(content, MEDIA_TYPES[path.suffix], etag)
    return assets
