"""Evaluation during training: the code of `ccfpse evaluate` on the averaged model, and the best one kept."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import torch

from ccfpse.checkpoint import Model, load_tensors
from ccfpse.data.layouts import find_layout
from ccfpse.evaluation import ModelImages, run
from ccfpse.features import find_weights
from ccfpse.metrics import Report
from ccfpse.training.config import TrainConfig
from ccfpse.training.report import RunFolder

STYLES = 2  # per layout: enough for a diversity score; the other scores look at the first
LOGGED = ("fid", "kid", "kid_standard_error", "lpips_diversity", "lpips_to_real", "mean_iou", "accuracy")


class Evaluation:
    """Scores the models of one run, on one process; `best.safetensors` is the one of the least KID.

    What a model scored is in its file's metadata, so that a resumed run knows its best. Nothing here draws
    from the random states that training draws from.

    data: has the split val. folder: the run's. Raises ValueError, or `MissingWeights`, before training
    where an evaluation could not be made.
    """

    def __init__(self, data: str | Path, config: TrainConfig, folder: RunFolder) -> None:
        self.data, self.config, self.folder = data, config, folder
        if "val" not in find_layout(data).splits(data):
            raise ValueError(f"{data}: evaluate_every needs a val split; add one or leave evaluate_every out")
        self.weights = None if config.evaluate_weights is None else Path(config.evaluate_weights)
        for name in ("inception", "alexnet", "lpips_alexnet"):
            find_weights(name, self.weights)

    def __call__(self, model: Model, images: int) -> dict[str, float]:
        """Evaluates the model after `images` images, keeps it if it is the best, returns what is logged."""
        device = next(model.generator.parameters()).device
        candidate = self.folder.candidate
        devices = [device] if device.type == "cuda" else []
        try:
            with torch.random.fork_rng(devices):
                model.save(candidate)
                report = self._report(candidate, str(device), images)
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

    def _report(self, candidate: Path, device: str, images: int) -> Report:
        system = ModelImages.load(candidate, device=device)
        system.name = f"{self.folder.root.name} at {images:,} images"
        system.source = ""  # measured once: no cache
        styles = STYLES if system.engine.style_dim else None
        (report,) = run(
            system,
            self.data,
            system.protocol("default", styles=styles),
            limit=self.config.evaluate_images or None,
            segmenter=self.config.evaluate_segmenter,
            weights=self.weights,
            device=device,
            out=self.folder.root / "evaluations" / f"{images:08d}",
            progress=False,
        )
        return report

    def _is_best(self, verdict: dict[str, Any]) -> bool:
        """Whether no model of a lower KID is kept; one measured otherwise does not count."""
        if not self.folder.best.is_file():
            return True
        verdict = json.loads(json.dumps(verdict))
        kept = load_tensors(self.folder.best)[1].get("info", {}).get("evaluation")
        if kept is None or any(kept[key] != verdict[key] for key in ("protocol", "data_hash")):
            return True
        return verdict["scores"]["kid"] < kept["scores"]["kid"]
