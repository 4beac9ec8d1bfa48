"""Evaluation during training: the code of `ccfpse evaluate` on the averaged model, and the best one kept."""

import dataclasses
import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch

from ccfpse.checkpoint import Model, load_content
from ccfpse.data.layouts import find_layout
from ccfpse.evaluation import ModelImages, Spread, find_segmenter, open_pairs
from ccfpse.features import find_weights
from ccfpse.labels import LabelSpace
from ccfpse.metrics import Protocol, Report, Segmenter, evaluate
from ccfpse.metrics.evaluate import FEWEST
from ccfpse.training.config import TrainConfig
from ccfpse.training.report import RunFolder

STYLES = 2  # per layout: enough for a diversity score; the other scores look at the first
LOGGED = ("fid", "kid", "kid_standard_error", "lpips_diversity", "lpips_to_real", "mean_iou", "accuracy")


class Evaluation:
    """Scores the models of one run, on one process; `best.safetensors` is the one of the least KID.

    What a model scored is in its file's metadata, so that a resumed run knows its best. Nothing here draws
    from the random states that training draws from.

    data: has the split val. folder: the run's. device: networks that measure run there. Raises ValueError,
    or `MissingWeights`, before training where an evaluation could not be made.
    """

    def __init__(
        self, data: str | Path, config: TrainConfig, folder: RunFolder, device: torch.device
    ) -> None:
        self.data, self.config, self.folder, self.device = data, config, folder, device
        self.pairs, self.label_space = open_val(data, config)
        self.weights = None if config.evaluate_weights is None else Path(config.evaluate_weights)
        for name in ("inception", "alexnet", "lpips_alexnet"):
            find_weights(name, self.weights)
        self.segmenter: Segmenter | None = None
        if config.evaluate_segmenter != "own":  # which may have to be trained, so that it waits
            self.segmenter = self._find_segmenter()

    def __call__(self, model: Model, images: int) -> dict[str, float]:
        """Evaluates the model after `images` images, keeps it if it is the best, returns what is logged."""
        candidate = self.folder.candidate
        try:
            with self._random_states_kept():
                model.save(candidate)
                report = self._report(candidate, images)
            verdict = {
                "scores": report.scores,
                "protocol": dataclasses.asdict(report.protocol),
                "data_hash": report.data_hash,
            }
            if self._is_best(verdict):
                dataclasses.replace(model, info=model.info | {"evaluation": verdict}).save(self.folder.best)
        finally:
            candidate.unlink(missing_ok=True)
        scores = {name: report.scores[name] for name in LOGGED}
        return {f"evaluation/{name}": value for name, value in scores.items() if value is not None}

    def _find_segmenter(self) -> Segmenter | None:
        choice, size = self.config.evaluate_segmenter, self.config.data.size
        if choice.endswith(".safetensors") and not Path(choice).is_file():
            raise ValueError(f"evaluate_segmenter: {choice}: no such file")
        with self._random_states_kept():
            return find_segmenter(
                choice,
                self.data,
                self.label_space,
                Protocol(size, resize=self.config.data.resize),
                weights=self.weights,
                device=str(self.device),
                progress=False,
            )

    def _report(self, candidate: Path, images: int) -> Report:
        if self.segmenter is None:
            self.segmenter = self._find_segmenter()
        system = ModelImages.load(candidate, device=str(self.device))
        protocol = system.protocol("default", styles=STYLES if system.engine.style_dim else None)
        return evaluate(
            self.pairs,
            system.generate(self.pairs, self.label_space, protocol),
            name=f"{self.folder.root.name} at {images:,} images",
            label_space=self.label_space,
            protocol=protocol,
            segmenter=self.segmenter,
            weights=self.weights,
            device=str(self.device),
            out=self.folder.evaluations / f"{images:08d}",
            progress=False,
        )

    def _random_states_kept(self) -> AbstractContextManager[None]:
        return torch.random.fork_rng([self.device] if self.device.type == "cuda" else [])

    def _is_best(self, verdict: dict[str, Any]) -> bool:
        """Whether no model of a lower KID is kept; one measured otherwise does not count."""
        if not self.folder.best.is_file():
            return True
        verdict = json.loads(json.dumps(verdict))
        kept = load_content(self.folder.best).get("info", {}).get("evaluation")
        if kept is None or any(kept[key] != verdict[key] for key in ("protocol", "data_hash")):
            return True
        return verdict["scores"]["kid"] < kept["scores"]["kid"]


def open_val(data: str | Path, config: TrainConfig) -> tuple[Spread, LabelSpace]:
    """What is evaluated on, and its label space; ValueError where that is too little."""
    if "val" not in find_layout(data).splits(data):
        raise ValueError(f"{data}: evaluate_every needs a val split; add one or leave evaluate_every out")
    uses = config.data.instances is not False
    val, label_space = open_pairs(data, "val", config.data.size, config.data.resize, instances=uses)
    pairs = Spread(val, config.evaluate_images or None)
    if len(pairs) < FEWEST:
        raise ValueError(
            f"{data}: an evaluation needs {FEWEST} photos at least, but val has {len(val)} and "
            f"evaluate_images is {config.evaluate_images}; give more, or leave evaluate_every out"
        )
    return pairs, label_space
