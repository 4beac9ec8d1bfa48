"""A comparison small enough for tests; run as a script, `ccfpse compare` with the stand-in networks."""

import functools
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ccfpse import evaluation
from ccfpse.cli import main
from ccfpse.compare import check
from ccfpse.metrics import SegmenterTraining, cached_segmenter
from stand_in_networks import install

FIELDS: dict[str, Any] = {
    "data": {"size": 64, "load_size": 70, "workers": 0},
    "generator": {"width": 2, "style_dim": 4, "predictor_width": 4},
    "discriminator.width": 2,
    "encoder_width": 2,
    "loss.perceptual": 0,
    "batch": 2,
    "save_every": 4,
    "sample_every": 0,
}
SYSTEMS: dict[str, Any] = {
    "CC + FPSE": None,
    "pix2pixHD + MsPatch": {
        "generator": {"kind": "pix2pixhd", "halvings": 2, "blocks": 1},
        "discriminator.kind": "ms_patch",
    },
}


def write_plan(path: Path, data: Path, out: Path, /, **changes: Any) -> Path:
    """A plan of two systems and two seeds; `changes` replace top-level keys."""
    content = {
        "data": str(data),
        "out": str(out),
        "preset": "facades",
        "images": 12,
        "seeds": [0, 1],
        "fields": FIELDS,
        "systems": SYSTEMS,
        "evaluation": {"styles": 2},
    }
    path.write_text(yaml.safe_dump(content | changes, sort_keys=False))
    return path


def stand_in(patch: pytest.MonkeyPatch, cache: Path) -> None:
    """Stand-ins for the public networks, and a segmenter that learns in a moment."""
    install(patch, cache)
    patch.setattr(check, "find_weights", lambda name, path=None: cache)
    training = SegmenterTraining(320, width=4, learning_rate=1e-2)
    patch.setattr(evaluation, "cached_segmenter", functools.partial(cached_segmenter, training=training))


if __name__ == "__main__":
    stand_in(pytest.MonkeyPatch(), Path(sys.argv.pop(1)))
    main()
