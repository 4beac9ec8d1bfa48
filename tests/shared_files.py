"""Where recorded tensors, photos and public weights lie, if they lie anywhere."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("CCFPSE_SHARED", REPOSITORY.parent / "shared"))


def shared_path(*parts: str) -> Path:
    """A file or folder beside the checkout; the test is skipped with the reason when it is absent."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"needs {'/'.join(('shared', *parts))} beside the checkout (or under $CCFPSE_SHARED)")
    return path
