"""Evaluation during training: it keeps the best, and the training does not notice it."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from run_files import log_of
from safetensors.torch import load_file
from tiny_data import TINY, write_data

from ccfpse.checkpoint import Model
from ccfpse.data import PairedTransform, open_dataset
from ccfpse.engine import Engine
from ccfpse.features import MissingWeights, find_weights
from ccfpse.metrics import Report
from ccfpse.presets import resolve
from ccfpse.training import evaluation as training_evaluation
from ccfpse.training import loop
from ccfpse.training.config import TrainConfig
from ccfpse.training.evaluation import Evaluation
from ccfpse.training.report import RunFolder
from ccfpse.training.state import TrainState
from stand_in_networks import install

EVERY = {"evaluate_every": "4", "evaluate_images": "8"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_data(tmp_path_factory.mktemp("data"))
    return write_data(root, "val", count=9, seed=1)


@pytest.fixture(autouse=True, scope="module")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        install(patched, tmp_path_factory.mktemp("cache"))
        patched.setattr(training_evaluation, "find_weights", lambda name, path=None: Path())
        yield


@pytest.fixture(scope="module")
def watched(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with evaluations after 4, 8 and, at its end, 10 images."""
    run = tmp_path_factory.mktemp("watched")
    loop.train(data, run, config(**EVERY))
    return run


def config(**changes: str) -> TrainConfig:
    short = {"images": "10", "save_every": "4", "optimiser.lr_generator": "1e-2"}
    return resolve("facades", None, TINY | short | changes)


def lines(run: Path) -> tuple[list[dict], list[dict]]:
    """The log's lines of steps, and those of evaluations."""
    entries = log_of(run)
    return [e for e in entries if "gan" in e], [e for e in entries if "evaluation/kid" in e]


def test_training_does_not_notice(data: Path, watched: Path, tmp_path: Path) -> None:
    loop.train(data, tmp_path / "plain", config())
    first, second = (load_file(run / "state.safetensors") for run in (tmp_path / "plain", watched))
    assert first.keys() == second.keys()
    assert [key for key in first if not torch.equal(first[key], second[key])] == []
    steps, none = lines(tmp_path / "plain")
    same_steps, evaluations = lines(watched)
    assert none == []
    assert steps == same_steps
    assert [entry["images"] for entry in evaluations] == [4, 8, 10]
    assert all(isinstance(value, float) for e in evaluations for key, value in e.items() if key != "images")

    best = Model.load(watched / "best.safetensors")
    kids = {entry["images"]: entry["evaluation/kid"] for entry in evaluations}
    assert best.info["images"] == min(kids, key=kids.__getitem__)
    assert best.info["evaluation"]["scores"]["kid"] == pytest.approx(min(kids.values()), abs=1e-5)
    assert Engine.load(watched / "best.safetensors").trained_size == (64, 64)
    report = Report.load(watched / "evaluations" / "00000008" / "report.json")
    assert report.images == 8
    assert report.scores["kid"] == pytest.approx(kids[8], abs=1e-5)
    assert [path.name for path in watched.glob(".*")] == [".lock"]


def test_a_run_killed_in_its_evaluation_makes_up_for_it(
    data: Path, watched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Evaluation.__call__

    def killed(self: Evaluation, model: Model, images: int) -> dict[str, float]:
        if images == 8:
            raise KeyboardInterrupt
        return real(self, model, images)

    with monkeypatch.context() as patched:
        patched.setattr(Evaluation, "__call__", killed)
        with pytest.raises(KeyboardInterrupt):
            loop.train(data, tmp_path / "broken", config(**EVERY))
    loop.train(data, tmp_path / "broken", config(**EVERY))
    assert lines(tmp_path / "broken") == lines(watched)
    for name in ("best.safetensors", "model.safetensors"):
        whole, broken = load_file(watched / name), load_file(tmp_path / "broken" / name)
        assert all(torch.equal(whole[key], broken[key]) for key in whole)


@pytest.fixture
def evaluated(data: Path, tmp_path: Path) -> tuple[Evaluation, Model]:
    settings = config(**EVERY)
    dataset = open_dataset(data, "train", PairedTransform((64, 64)))
    state = TrainState.start(loop.build(settings, dataset), settings)
    return evaluation_of(data, settings, tmp_path), loop.deliver(state, settings, dataset)


def evaluation_of(data: Path, settings: TrainConfig, run: Path) -> Evaluation:
    return Evaluation(data, settings, RunFolder(run), torch.device("cpu"))


def test_random_states_are_left_alone(evaluated: tuple[Evaluation, Model]) -> None:
    evaluation, model = evaluated
    before = torch.get_rng_state()
    weights = {name: value.clone() for name, value in model.generator.state_dict().items()}
    evaluation(model, 2)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(value, weights[name]) for name, value in model.generator.state_dict().items())


def test_the_least_kid_is_kept(evaluated: tuple[Evaluation, Model], monkeypatch: pytest.MonkeyPatch) -> None:
    evaluation, model = evaluated
    evaluation(model, 1)
    report = Report.load(evaluation.folder.root / "evaluations" / "00000001" / "report.json")
    evaluation.folder.best.unlink()
    kept = []
    other = dataclasses.replace(report.protocol, seed=9)
    for images, kid, protocol in (
        (2, 0.3, report.protocol),
        (4, 0.1, report.protocol),
        (6, 0.2, report.protocol),
        (8, 0.9, other),  # measured otherwise: the first of its kind is its best
    ):
        said = dataclasses.replace(report, scores=report.scores | {"kid": kid}, protocol=protocol)
        monkeypatch.setattr(Evaluation, "_report", lambda *_, said=said: said)
        model.info["images"] = images
        assert evaluation(model, images)["evaluation/kid"] == kid
        kept.append(Model.load(evaluation.folder.best).info["images"])
    assert kept == [2, 4, 4, 8]


def test_what_cannot_be_evaluated_is_refused_before_training(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = write_data(tmp_path / "alone")
    with pytest.raises(ValueError, match="evaluate_every needs a val split"):
        loop.train(alone, tmp_path / "run", config(**EVERY))
    with pytest.raises(ValueError, match="evaluate_every is -1, expected 0 or more"):
        config(evaluate_every="-1")
    monkeypatch.setattr(training_evaluation, "find_weights", find_weights)
    with pytest.raises(MissingWeights, match="no inception weights in this folder"):
        loop.train(data, tmp_path / "run", config(evaluate_weights=str(tmp_path / "alone"), **EVERY))
    assert not (tmp_path / "run" / "log.jsonl").exists()


@pytest.mark.parametrize(
    ("photos", "changes", "message"),
    [
        (9, {"evaluate_images": "1"}, "needs 8 photos at least, but val has 9 and evaluate_images is 1"),
        (7, {}, "needs 8 photos at least, but val has 7"),
        (8, {"evaluate_segmenter": "absent.safetensors"}, r"absent\.safetensors: no such file"),
        (8, {"evaluate_segmenter": "nothing-here"}, "nothing-here: not a semantic segmentation model"),
    ],
)
def test_what_would_fail_at_the_first_evaluation_is_refused_before_training(
    photos: int, changes: dict[str, str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "nothing-here" in changes.values():
        pytest.importorskip("transformers")
        (tmp_path / "nothing-here").mkdir()  # a folder, so that no hub is asked
    monkeypatch.chdir(tmp_path)
    data = write_data(write_data(tmp_path / "data"), "val", count=photos)
    with pytest.raises(ValueError, match=message):
        loop.train(data, tmp_path / "run", config(**EVERY | changes))
    assert not (tmp_path / "run" / "log.jsonl").exists()
    assert not (tmp_path / "run" / "model.safetensors").exists()


class SeesWalls:
    """In a segmenter's place."""

    name, predicts = "walls", (0, 1)

    def __call__(self, photos: np.ndarray, /) -> np.ndarray:
        return np.zeros(photos.shape[:3], np.int64)


@pytest.mark.parametrize(("choice", "found_at_once"), [("some/model", 1), ("own", 0)])
def test_the_segmenter_is_found_once(
    data: Path,
    evaluated: tuple[Evaluation, Model],
    choice: str,
    found_at_once: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = []

    def find(choice: str, *_: object, **__: object) -> SeesWalls:
        torch.rand(1)  # as networks do that are built before their weights are read
        found.append(choice)
        return SeesWalls()

    monkeypatch.setattr(training_evaluation, "find_segmenter", find)
    before = torch.get_rng_state()
    evaluation = evaluation_of(data, config(**EVERY, evaluate_segmenter=choice), tmp_path)
    assert len(found) == found_at_once
    for images in (2, 4):
        assert "evaluation/mean_iou" in evaluation(evaluated[1], images)
    assert found == [choice]
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("error", [ValueError("the segmenter is gone"), OSError("the disk is gone")])
def test_a_run_goes_on_without_an_evaluation_that_fails(
    data: Path,
    tmp_path: Path,
    error: Exception,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object) -> Report:
        raise error

    monkeypatch.setattr(Evaluation, "_report", fail)
    loop.train(data, tmp_path / "run", config(**EVERY), console=Console(width=200, stderr=True))
    steps, evaluations = lines(tmp_path / "run")
    assert steps[-1]["images"] == 10
    assert evaluations == []
    said = capsys.readouterr().err
    assert [f"no evaluation at {images} images: {error}" in said for images in (4, 8, 10)] == [True] * 3
    assert not (tmp_path / "run" / ".candidate.safetensors").exists()
