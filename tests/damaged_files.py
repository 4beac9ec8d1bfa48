"""Files that go bad."""

from pathlib import Path


def damage(path: Path) -> None:
    """Header and end stay: only decoding finds it."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : -30] = bytes(len(content[len(content) // 2 : -30]))
    path.write_bytes(content)
