"""Every system through the whole program: one step, a model file, the engine, exact resuming."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from run_files import resumed_at
from safetensors.torch import load_file
from tiny_data import TINY, write_data

from ccfpse.data import PairedTransform
from ccfpse.data.layouts import open_dataset
from ccfpse.engine import Engine
from ccfpse.presets import resolve
from ccfpse.training import loop
from ccfpse.training.config import TrainConfig
from ccfpse.training.state import TrainState
from ccfpse.training.stream import to_batch
from ccfpse.training.update import step

SYSTEMS = {
    "cc, fp": {"discriminator.kind": "fp"},
    "cc without gates and pyramid, fpse": {"generator.gates": "false", "generator.layout_pyramid": "false"},
    "spade, ms_patch": {"generator.kind": "spade", "discriminator.kind": "ms_patch"},
    "spade with pyramid, fpse": {"generator.kind": "spade", "generator.layout_pyramid": "true"},
    "pix2pixhd, ms_patch": {
        "generator.kind": "pix2pixhd",
        "generator.width": "2",
        "generator.halvings": "2",
        "generator.blocks": "1",
        "discriminator.kind": "ms_patch",
    },
    "pix2pix, patch": {
        "generator.kind": "pix2pix",
        "generator.halvings": "4",
        "discriminator.kind": "patch",
        "loss.adversarial": "log",
        "loss.feature_matching": "0",
        "loss.l1": "100",
    },
}
OF_CC = ("generator.style_dim", "generator.predictor_width", "generator.predictor_kernel")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


def config(system: str, **changes: str) -> TrainConfig:
    chosen = SYSTEMS[system]
    styled = chosen.get("generator.kind", "cc") in ("cc", "spade")
    tiny = {name: value for name, value in TINY.items() if styled or name not in OF_CC}
    return resolve("facades", None, tiny | {"generator.width": "2"} | chosen | changes)


@pytest.mark.parametrize("system", SYSTEMS)
def test_step_file_engine(data: Path, tmp_path: Path, system: str) -> None:
    settings = config(system)
    dataset = open_dataset(data, "train", PairedTransform((64, 64)))
    state = TrainState.start(loop.build(settings, dataset), settings)
    state.networks.generator.train()
    before = {name: p.clone() for name, p in state.networks.generator.named_parameters()}
    batch = to_batch([dataset.sample(0), dataset.sample(1)], dataset, settings, 0)
    written = step(state, [batch], settings, None)
    assert all(torch.isfinite(value) for value in written.values())
    assert {"gan", "d_fake", "d_real"} < written.keys()
    assert ("l1" in written) == (settings.loss.l1 > 0)
    assert ("feature_matching" in written) == (settings.loss.feature_matching > 0)
    moved = [not torch.equal(before[name], p) for name, p in state.networks.generator.named_parameters()]
    assert np.mean(moved) > 0.9

    loop.deliver(state, settings, dataset).save(tmp_path / "model.safetensors")
    engine = Engine.load(tmp_path)
    assert engine.config == state.networks.generator.config
    assert engine.style_dim == settings.generator.style_dim
    labels = np.zeros((64, 128), np.uint8)
    labels[20:, 30:] = 1
    photos = engine.generate(labels, count=2)
    assert photos.shape == (2, 64, 128, 3)
    assert np.array_equal(photos, engine.generate(labels, count=2))


def test_dropout_resumes_exactly(data: Path, tmp_path: Path) -> None:
    constant = {"optimiser.decay_from": "1", "save_every": "2"}
    loop.train(data, tmp_path / "whole", config("pix2pix, patch", images="8", **constant))
    loop.train(data, tmp_path / "parts", config("pix2pix, patch", images="4", **constant))
    console = Console(file=io.StringIO(), width=200)
    loop.train(data, tmp_path / "parts", config("pix2pix, patch", images="8", **constant), console=console)
    assert resumed_at(console.file.getvalue()) == 4
    whole, parts = (load_file(tmp_path / run / "state.safetensors") for run in ("whole", "parts"))
    assert [key for key in whole if not torch.equal(whole[key], parts[key])] == []


def test_another_system_is_refused_on_resume(data: Path, tmp_path: Path) -> None:
    loop.train(data, tmp_path, config("pix2pix, patch", images="2"))
    with pytest.raises(ValueError, match=r"generator\.kind is spade but was pix2pix"):
        loop.train(data, tmp_path, config("spade, ms_patch"))
