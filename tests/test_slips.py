"""Slips that would cost a user work: nothing of theirs is overwritten, no run goes on as another."""

import json
import shutil
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ccfpse.checkpoint import load_tensors
from ccfpse.cli import main
from ccfpse.model_files import bundled_models, find_model
from training.tiny_data import arguments, write_data

Call = Callable[..., tuple[int, str]]
BRIEF = arguments(images=4, save_every=2)


@pytest.fixture
def call(call: Callable[..., tuple[int, str, str]]) -> Call:
    """Calls a command; its status, and all it said on one line."""

    def run(*words: object) -> tuple[int, str]:
        status, out, err = call(*words)
        return status, " ".join((out + err).split())

    return run


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A data set and a finished run of four images on it."""
    root = tmp_path_factory.mktemp("begun")
    data, run = write_data(root / "data"), root / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["ccfpse", "train", str(data), "--out", str(run), *BRIEF])
        with suppress(SystemExit):  # by which commands end
            main()
    return data, run


@pytest.fixture
def run(begun: tuple[Path, Path], tmp_path: Path) -> Path:
    """A copy of that run."""
    return Path(shutil.copytree(begun[1], tmp_path / "run"))


@pytest.fixture
def data(begun: tuple[Path, Path]) -> Path:
    return begun[0]


@pytest.mark.skipif("facades" not in bundled_models(), reason="no bundled model in this checkout")
@pytest.mark.parametrize("taken", ["layout", "style", "overview"])
def test_pictures_do_not_replace_what_they_are_drawn_from(tmp_path: Path, call: Call, taken: str) -> None:
    layout, photo = tmp_path / "a.png", tmp_path / "out" / "a.png"
    photo.parent.mkdir()
    Image.fromarray(np.zeros((128, 128), np.uint8)).save(layout)
    Image.new("RGB", (8, 8)).save(photo)
    before = layout.read_bytes(), photo.read_bytes()
    told = {
        "layout": ("--out", tmp_path),
        "style": ("--style", photo, "--out", photo.parent),
        "overview": ("--overview", layout, "--out", tmp_path / "elsewhere"),
    }
    status, said = call("generate", layout, *told[taken])
    assert status == 2
    assert "a.png: is read here and would be overwritten; give another --out" in said
    assert (layout.read_bytes(), photo.read_bytes()) == before


@pytest.mark.skipif("facades" not in bundled_models(), reason="no bundled model in this checkout")
def test_what_is_wrong_is_named(tmp_path: Path, call: Call) -> None:
    layout = tmp_path / "a.png"
    Image.fromarray(np.full((128, 128), 30, np.uint8)).save(layout)
    assert "label id 30" in call("generate", layout, "--out", tmp_path / "out")[1]
    assert "(model 'facades'; --model draws with another)" in call("generate", layout, "--out", "out")[1]
    assert "seed is -1, expected 0 or more" in call("demo", "--seed", -1, "--out", tmp_path / "out")[1]
    assert f"{layout}: is a file, where a folder is needed" in call("generate", layout, "--out", layout)[1]
    facades = find_model("facades")
    assert f"{tmp_path}: is a folder; give the name of a file" in call("pack", facades, "--out", tmp_path)[1]


def test_runs_are_packed_and_models_readable_by_others(tmp_path: Path, run: Path, call: Call) -> None:
    small = tmp_path / "small.safetensors"
    assert call("pack", run, "--out", small)[0] == 0
    (tmp_path / "plain").touch()
    expected = stat.S_IMODE((tmp_path / "plain").stat().st_mode)
    for file in (small, run / "model.safetensors", run / "state.safetensors"):
        assert stat.S_IMODE(file.stat().st_mode) == expected


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"names": ["door", "wall"]}, "class 0 of the run is 'wall', but of the data 'door'"),
        ({"names": ["wall", "door", "sky"]}, "the run has 2 classes, but the data 3"),
        ({"ignore": 254}, None),  # another id for the same thing
        ({"colors": [[1, 2, 3], [4, 5, 6]]}, None),
    ],
)
def test_a_run_goes_on_with_its_own_classes(
    tmp_path: Path, data: Path, run: Path, call: Call, change: dict[str, object], told: str | None
) -> None:
    other = Path(shutil.copytree(data, tmp_path / "other"))
    space = json.loads((other / "classes.json").read_text())
    if len(change.get("names", ())) > 2:  # type: ignore[arg-type]
        space.pop("colors")
    (other / "classes.json").write_text(json.dumps(space | change))
    if "ignore" in change:
        for file in (other / "train/labels").iterdir():
            ids = np.asarray(Image.open(file)).copy()
            ids[ids == 255] = 254
            Image.fromarray(ids).save(file)
    status, said = call("train", other, "--out", run, "--images=6")
    assert status == (2 if told else 0), said
    if told:
        assert told in said
        assert json.loads((run / "config.json").read_text())["images"] == 4


def test_a_run_is_not_shortened(data: Path, run: Path, call: Call) -> None:
    before = (run / "config.json").read_bytes()
    status, said = call("train", data, "--out", run, "--images=2")
    assert (status, "has seen 4 images already; give --images more" in said) == (2, True), said
    assert (run / "config.json").read_bytes() == before
    assert call("train", data, "--out", run)[0] == 0  # the same command once more changes nothing


def test_a_model_without_a_state_is_put_aside(data: Path, run: Path, call: Call) -> None:
    kept, told = ((run / name).read_bytes() for name in ("model.safetensors", "log.jsonl"))
    for number in (1, 2):
        (run / "state.safetensors").unlink()
        status, said = call("train", data, "--out", run)
        assert status == 0
        assert f"no state to go on from, so the run begins anew and the model is kept as {run}" in said
        assert (run / f"model-{number}.safetensors").is_file()
    assert (run / "model-1.safetensors").read_bytes() == kept
    assert (run / "log-1.jsonl").read_bytes() == told


def test_a_config_that_is_no_json_is_named(data: Path, run: Path, call: Call) -> None:
    config = run / "config.json"
    config.write_text(config.read_text().replace('"batch": 2,', '"batch": 2'))
    status, said = call("train", data, "--out", run)
    assert status == 2
    assert f"{config}: Expecting ',' delimiter" in said


def test_a_resumed_run_writes_the_same_metadata(tmp_path: Path, data: Path, run: Path, call: Call) -> None:
    short = tmp_path / "short"
    assert call("train", data, "--out", short, *arguments(images=2, save_every=2))[0] == 0
    assert call("train", data, "--out", short, "--images=4")[0] == 0
    for name in ("model.safetensors", "state.safetensors"):
        (once, said), (twice, said_again) = (load_tensors(folder / name) for folder in (run, short))
        assert json.dumps(said) == json.dumps(said_again)  # 1 and 1.0 are equal, but not in a checksum
        if name == "state.safetensors":
            assert all(torch.equal(once[key], twice[key]) for key in once if key.startswith("optimiser"))


def test_validation_photos_are_missed(tmp_path: Path, data: Path, call: Call) -> None:
    sheet = tmp_path / "new" / "sheet.png"
    status, said = call("data", "check", data, "--contact-sheet", sheet)
    assert status == 0
    assert "no split val" in said
    assert sheet.is_file()
    assert "the contact sheet is a PNG" in call("data", "check", data, "--contact-sheet", "sheet.txt")[1]
