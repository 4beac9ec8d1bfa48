"""The sample grid: drawn within a step's memory, from the layouts that can be read."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from run_files import log_of
from tiny_data import TINY, write_data

from ccfpse.data import CorruptSample
from ccfpse.data.layouts import open_dataset
from ccfpse.pictures import GAP, to_uint8
from ccfpse.presets import resolve
from ccfpse.training import loop
from ccfpse.training.config import TrainConfig
from ccfpse.training.samples import SAMPLES, STYLES, SampleGrid
from ccfpse.training.state import TrainState
from ccfpse.training.stream import to_batch
from damaged_files import damage

CPU = torch.device("cpu")
SIDE = 64


@pytest.fixture
def data(tmp_path: Path) -> Path:
    root = write_data(tmp_path / "data")
    return write_data(root, "val", count=10, seed=1)


def config(**changes: str) -> TrainConfig:
    return resolve("facades", None, TINY | {"init_gain": "1"} | changes)


def fresh(data: Path, settings: TrainConfig) -> TrainState:
    return TrainState.start(loop.build(settings, open_dataset(data, "train")), settings)


def cells(grid: Image.Image) -> np.ndarray:
    """Rows×columns×H×W×3."""
    step = SIDE + GAP
    pixels = np.asarray(grid)
    return np.stack(
        [
            np.stack([pixels[y : y + SIDE, x : x + SIDE] for x in range(0, pixels.shape[1], step)])
            for y in range(0, pixels.shape[0], step)
        ]
    )


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_one_layout_at_a_time_in_the_precision_of_the_steps(data: Path, precision: str) -> None:
    settings = config(**{"compute.precision": precision})
    state = fresh(data, settings)
    seen = []

    def look(_: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        seen.append((len(inputs[0]), torch.is_autocast_enabled("cpu")))

    for average in state.averages.values():
        average.register_forward_pre_hook(look)
    before = torch.get_rng_state()
    SampleGrid(data, settings, CPU).draw(state)
    assert seen == [(1, precision == "bfloat16")] * (SAMPLES * (STYLES + 1))
    assert torch.equal(torch.get_rng_state(), before)


@torch.no_grad()
def test_rows_are_what_all_layouts_at_once_give(data: Path) -> None:
    settings = config()
    state, samples = fresh(data, settings), SampleGrid(data, settings, CPU)
    batch = to_batch(samples.items, samples.dataset, settings, 0)
    from_photos = state.averages["encoder"](batch.photo)[0]
    expected = to_uint8(state.averages["generator"](batch.semantic, from_photos))
    drawn = cells(samples.draw(state))
    assert drawn.shape == (SAMPLES, 2 + STYLES, SIDE, SIDE, 3)
    assert np.array_equal(drawn[:, 1], np.stack([item.photo for item in samples.items]))
    assert np.abs(drawn[:, 2].astype(int) - expected).max() <= 1  # rounded another way
    assert np.abs(drawn[:, 2].astype(int) - drawn[:, 3]).max() > 1  # another style


def test_an_unreadable_layout_is_passed_over(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = data / "val" / "images" / "2.png"
    damage(broken)
    settings = config(images="2", sample_every="2", **{"data.verify": "false"})
    assert [item.stem for item in SampleGrid(data, settings, CPU).items] == list("01345678")
    loop.train(data, tmp_path / "run", settings, console=Console(width=200, stderr=True))
    assert f"note: left out of the sample grids: {broken}: " in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "run" / "samples").iterdir()] == ["00000002.png"]
    assert log_of(tmp_path / "run")[-1]["images"] == 2


def test_without_a_readable_layout_there_is_no_grid(data: Path) -> None:
    for photo in (data / "val" / "images").iterdir():
        damage(photo)
    with pytest.raises(CorruptSample, match=r"val/images/9\.png"):
        SampleGrid(data, config(), CPU)
