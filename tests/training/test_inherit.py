"""Runs that begin with a trained model's weights."""

import io
import json
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from rich.console import Console
from run_files import assert_same_run
from tiny_data import TINY, write_data

from ccfpse.checkpoint import Model
from ccfpse.cli import main
from ccfpse.presets import resolve
from ccfpse.training import loop
from ccfpse.training.config import TrainConfig


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained")
    loop.train(data, out, config(images="4", seed="7"))
    return out


def config(**changes: str) -> TrainConfig:
    return resolve("facades", None, TINY | changes)


def said(data: Path, out: Path, settings: TrainConfig) -> str:
    console = Console(file=io.StringIO(), width=200)
    loop.train(data, out, settings, console=console)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_begins_with_the_models_weights(data: Path, trained: Path, tmp_path: Path) -> None:
    """With a rate of zero the new model is the old one: weights, statistics, encoder."""
    note = said(
        data, tmp_path, config(images="2", start_from=str(trained), **{"optimiser.lr_generator": "0"})
    )
    assert f"beginning with {trained / 'model.safetensors'}: 100 % of the weights\n" in note
    old, new = Model.load(trained / "model.safetensors"), Model.load(tmp_path / "model.safetensors")
    assert new.images == 6
    for before, after in ((old.generator, new.generator), (old.encoder, new.encoder)):
        assert before is not None
        assert after is not None
        for (name, a), (_, b) in zip(before.named_parameters(), after.named_parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=0, msg=name)


@pytest.mark.parametrize("kept", [True, False])
def test_begins_with_the_models_discriminator(
    data: Path, trained: Path, tmp_path: Path, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run's model has it, a packed one where it was asked for."""
    packed = tmp_path / "packed.safetensors"
    words = ["ccfpse", "pack", str(trained), "--out", str(packed), *(["--discriminator"] if kept else [])]
    monkeypatch.setattr(sys, "argv", words)
    with suppress(SystemExit):
        main()
    rates = {"optimiser.lr_generator": "0", "optimiser.lr_discriminator": "0"}
    note = said(data, tmp_path / "run", config(images="2", start_from=str(packed), **rates))
    assert ("a fresh discriminator, as it holds none" in note) != kept
    first, last = (Model.load(run / "model.safetensors").discriminator for run in (trained, tmp_path / "run"))
    assert first.keys() == last.keys()
    weights = [key for key, value in first.items() if value.ndim > 1]
    assert weights
    same = [torch.allclose(first[key], last[key], rtol=1e-3, atol=1e-3) for key in weights]
    assert all(same) == kept


def test_resumes_from_its_own_state(data: Path, trained: Path, tmp_path: Path) -> None:
    """The model is read once, at the beginning: a run goes on when it has changed or gone."""
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes((trained / "model.safetensors").read_bytes())
    fields = {"start_from": str(copy), "optimiser.warmup": "4", "optimiser.decay_from": "1"}
    loop.train(data, tmp_path / "whole", config(images="8", **fields))
    loop.train(data, tmp_path / "parts", config(images="4", **fields))
    copy.unlink()
    loop.train(data, tmp_path / "parts", config(images="8", **fields))
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


def test_other_classes_begin_anew(data: Path, trained: Path, tmp_path: Path) -> None:
    write_data(tmp_path / "data")
    space = tmp_path / "data" / "classes.json"
    space.write_text(json.dumps({"names": ["door", "wall", "tree"], "ignore": 255}))
    note = said(tmp_path / "data", tmp_path / "run", config(images="2", start_from=str(trained)))
    assert "its classes have other names" in note
    assert "as it has none of their shape: generator." in note
    assert "100 %" not in note


def test_what_cannot_be_begun_with_is_refused(data: Path, trained: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no such model; .*facades"):
        loop.train(data, tmp_path / "a", config(start_from="facade"))
    shared = {name: value for name, value in TINY.items() if not name.startswith("generator.")}
    other = resolve("facades", None, shared | {"generator.kind": "pix2pixhd", "start_from": str(trained)})
    with pytest.raises(ValueError, match=r"none of its weights has the name and shape"):
        loop.train(data, tmp_path / "b", other)
