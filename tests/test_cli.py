"""The commands as a user calls them: help, errors in one line with exit status 2, the demo."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from ccfpse.model_files import bundled_models


def ccfpse(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ccfpse", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=250)


def test_help_is_instant() -> None:
    loaded = (
        "import sys; sys.argv = ['ccfpse', '--help']\ntry:\n import ccfpse.cli; ccfpse.cli.main()\nfinally:\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", loaded + " print('torch' in sys.modules)"], capture_output=True, text=True
    )
    assert "generate" in result.stdout
    assert result.stdout.strip().endswith("False")


def test_train_help_lists_every_field() -> None:
    output = ccfpse("train", "--help").stdout
    for field in ("--generator.predictor_kernel", "--optimiser.decay_from", "--loss.kl", "--data.load_size"):
        assert field in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("generate", "absent.png", "--model", "absent"), "absent: no such model"),
        (("train", "absent", "--out", "run", "--imges=3"), "did you mean 'images'"),
        (("train", "absent", "--out", "run", "--preset", "coc"), "did you mean 'coco'"),
        (("train", "absent", "--out", "run"), "absent"),
        (("data", "check", "absent"), "absent"),
        (("paint",), "paint"),
        (("generate",), "LAYOUTS"),
    ],
)
def test_errors_are_one_line(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    result = ccfpse(*arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_demo_draws_every_layout(tmp_path: Path) -> None:
    if "facades" not in bundled_models():
        pytest.skip("no bundled model in this checkout")
    result = ccfpse("demo", "--styles", 1, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    pictures = list((tmp_path / "demo" / "pictures").glob("*.png"))
    assert len(pictures) == 2 * 11
    with Image.open(tmp_path / "demo" / "grid.png") as grid:
        assert grid.size == (2 * 128 + 4, 11 * (128 + 4) - 4)
    assert "Roboflow" in (tmp_path / "demo" / "index.html").read_text()
