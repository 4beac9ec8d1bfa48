"""The evaluation from end to end on toy data, with stand-ins for the networks that can be worked out."""

import csv
import dataclasses
import importlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from toy_pairs import SPACE, Threshold, ToyPair, ToyPairs

from ccfpse.metrics import Protocol, Report, compare_reports, evaluate, images_from_folder
from ccfpse.metrics.controls import blurred, control_reports, control_table, photos_of, shuffled
from ccfpse.metrics.extremes import sheet
from ccfpse.metrics.measure import Instruments, kept
from shared_files import shared_path
from stand_in_networks import MeanColours, install

PROTOCOL = Protocol((32, 32), styles=2, kid_subsets=10)


@pytest.fixture(autouse=True)
def stand_ins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install(monkeypatch, tmp_path / "cache")


class Noisy:
    """A generator: the block and ground in grey with noise by seed; counts how often it was asked."""

    def __init__(self, fail_at: int = -1) -> None:
        self.calls, self.fail_at = 0, fail_at

    def __call__(self, pair: ToyPair, count: int, seed: int) -> np.ndarray:
        if self.calls == self.fail_at:
            raise KeyboardInterrupt
        self.calls += 1
        noise = np.random.default_rng(seed).integers(-40, 40, (count, *pair.labels.shape, 3))
        return (60 + 120 * (pair.labels == 1)[..., None] + noise).astype(np.uint8)


def in_unit_range(images: list[np.ndarray]) -> Tensor:
    return torch.tensor(np.stack(images)).permute(0, 3, 1, 2) / 255


def run(reference: ToyPairs, generate, **changes) -> Report:
    settings = {"label_space": SPACE, "protocol": PROTOCOL, "name": "toy", "progress": False} | changes
    return evaluate(reference, generate, **settings)


def test_the_photos_themselves_score_perfectly() -> None:
    def photos(pair: ToyPair, count: int, seed: int) -> np.ndarray:
        return np.repeat(pair.photo[None], count, 0)

    report = run(ToyPairs(40), photos, segmenter=Threshold())
    assert report.scores["fid"] == pytest.approx(0, abs=1e-6)
    assert report.scores["lpips_to_real"] == pytest.approx(0, abs=1e-6)
    assert report.scores["lpips_diversity"] == pytest.approx(0, abs=1e-6)
    assert report.scores["mean_iou"] == report.ceiling["mean_iou"]
    assert report.class_iou["block"][0] == report.class_iou["block"][1]
    assert report.images == 40
    assert report.floor["images"] == 20
    # one row of 32 is unlabelled: an accuracy over all pixels loses exactly that share
    labelled, everything = report.scores["accuracy_labelled"], report.scores["accuracy_all"]
    assert labelled is not None
    assert everything == pytest.approx(labelled * 31 / 32)
    assert report.scores["accuracy"] == labelled


def test_distances_equal_those_of_all_features_at_once() -> None:
    reference, generate = ToyPairs(40), Noisy()
    report = run(reference, generate)
    network = MeanColours()
    real = network(in_unit_range([reference.sample(index).photo for index in range(40)]))
    seeds = {}

    def spy(pair: ToyPair, count: int, seed: int) -> np.ndarray:
        seeds[pair.stem] = seed
        return generate(pair, count, seed)

    run(reference, spy)
    images = [generate(reference.sample(i), 2, seeds[f"toy{i:02d}"])[0] for i in range(40)]
    made = network(in_unit_range(images))
    mean = (real - made).double().mean(0)
    a, b = torch.cov(real.double().T), torch.cov(made.double().T)
    cross = torch.linalg.eigvals(a @ b).sqrt().real.sum()
    expected = float(mean.square().sum() + a.trace() + b.trace() - 2 * cross)
    assert report.scores["fid"] == pytest.approx(expected, rel=1e-5)
    assert report.scores["mean_iou"] is None
    assert report.ceiling["accuracy"] is None


def test_images_do_not_depend_on_order_or_company() -> None:
    seen: list[dict[str, int]] = []
    for count in (9, 40):
        seeds: dict[str, int] = {}

        def spy(pair: ToyPair, count: int, seed: int, seeds: dict[str, int] = seeds) -> np.ndarray:
            seeds[pair.stem] = seed
            return Noisy()(pair, count, seed)

        run(ToyPairs(count), spy)
        seen.append(seeds)
    assert seen[0].items() <= seen[1].items()
    assert len(set(seen[1].values())) == 40


def test_a_broken_evaluation_resumes_from_the_cache() -> None:
    reference, broken = ToyPairs(40), Noisy(fail_at=35)
    with pytest.raises(KeyboardInterrupt):
        run(reference, broken, source="model 1")
    again = Noisy()
    resumed = run(reference, again, source="model 1")
    assert again.calls == 8  # two chunks of 16 came from the cache
    fresh = run(reference, Noisy())
    assert resumed.scores == fresh.scores
    third = Noisy()
    run(reference, third, source="model 2")
    assert third.calls == 40
    fourth = Noisy()
    run(reference, fourth, source="model 1", protocol=dataclasses.replace(PROTOCOL, seed=1))
    assert fourth.calls == 40


def test_measurements_of_another_version_do_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(ToyPairs(8), Noisy(), source="model", cache=tmp_path)
    monkeypatch.setattr(importlib.import_module("ccfpse.metrics.evaluate"), "CACHE_VERSION", 0)
    again = Noisy()
    run(ToyPairs(8), again, source="model", cache=tmp_path)
    assert again.calls == 8
    assert len(list(tmp_path.glob("real-*.npz"))) == 2


def test_images_of_shuffled_layouts_follow_their_partners(tmp_path: Path) -> None:
    """Two sets that share their first sixteen pairs, whose partners are others."""
    settings: dict[str, Any] = {"protocol": PROTOCOL, "label_space": SPACE, "progress": False}
    found = []
    for cache in ("shared", "shared", "fresh"):
        *_, report = control_reports(
            ToyPairs(20 if found else 18),
            Noisy(),
            others=ToyPairs(20, seed=1),
            name="model",
            source="model",
            cache=tmp_path / cache,
            **settings,
        )
        found.append(report.scores)
    assert found[1] == found[2]


def test_a_damaged_cache_file_is_measured_anew(tmp_path: Path) -> None:
    reference = ToyPairs(8)
    first = run(reference, Noisy(), source="model", cache=tmp_path)
    files = sorted(tmp_path.glob("*.npz"))
    assert len(files) == 2  # real and generated
    for file in files:
        file.write_bytes(file.read_bytes()[:100])
    assert run(reference, Noisy(), source="model", cache=tmp_path).scores == first.scores


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"PK\x03\x04"])
def test_any_unreadable_cache_file_is_replaced(tmp_path: Path, content: bytes) -> None:
    file, record = tmp_path / "real.npz", {"features": np.arange(3)}
    file.write_bytes(content)
    assert list(kept(file, lambda: record)["features"]) == [0, 1, 2]
    assert list(kept(file, dict)["features"]) == [0, 1, 2]  # read, not measured again


def test_a_measurement_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes, synced, replace = [], os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda number: (sizes.append(os.fstat(number).st_size), synced(number)))
    monkeypatch.setattr(os, "replace", lambda *names: (sizes.append("named"), replace(*names)))
    kept(tmp_path / "real.npz", lambda: {"features": np.arange(3)})
    assert sizes == [(tmp_path / "real.npz").stat().st_size, "named"]


def test_files_written(tmp_path: Path) -> None:
    report = run(ToyPairs(10), Noisy(), segmenter=Threshold(), out=tmp_path / "out")
    content = json.loads((tmp_path / "out/report.json").read_text())
    assert content["protocol"]["style"] == "prior"
    assert content["protocol"]["segmenter"] == "threshold"
    assert Report.load(tmp_path / "out/report.json") == report
    with (tmp_path / "out/images.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["stem"] for row in rows] == ToyPairs(10).stems
    mean = sum(float(row["lpips_to_real"]) for row in rows) / 10
    assert mean == pytest.approx(report.scores["lpips_to_real"], rel=1e-5)
    assert 0 < float(rows[0]["mean_iou"]) <= 1
    with Image.open(tmp_path / "out/extremes.png") as picture:
        assert picture.width == 5 * 32 + 4 * 4  # ten images: five worst, five best


@pytest.mark.parametrize("labelled", [0, 1, 9])
def test_a_layout_without_labels_is_no_extreme(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, labelled: int
) -> None:
    class Partly(ToyPairs):
        def sample(self, index: int) -> ToyPair:
            pair = super().sample(index)
            return pair if index < labelled else dataclasses.replace(pair, labels=np.full((32, 32), 2))

    titles, module = [], importlib.import_module("ccfpse.metrics.evaluate")

    def spy(bands: list[tuple[str, Any]]) -> Image.Image:
        titles.extend(title for title, _ in bands)
        return sheet(bands)

    monkeypatch.setattr(module, "sheet", spy)
    run(Partly(10), Noisy(), segmenter=Threshold(), out=tmp_path)
    listed = [title.partition(" (")[2].partition(")")[0].split() for title in titles]
    assert [len(scores) for scores in listed] == {0: [5, 5], 1: [1, 1], 9: [4, 4]}[labelled]
    assert not any("nan" in scores for scores in listed)
    assert ("by mIoU" in titles[0]) == (labelled > 0)


def test_small_sets_are_warned_about() -> None:
    (warning,) = run(ToyPairs(10), Noisy()).warnings
    assert "FID on 10 images" in warning
    assert "biased upwards" in warning
    assert "KID" in warning


def test_one_style_gives_no_diversity() -> None:
    report = run(ToyPairs(8), Noisy(), protocol=dataclasses.replace(PROTOCOL, styles=1))
    assert report.scores["lpips_diversity"] is None


@pytest.mark.parametrize(
    ("reference", "generate", "sentence"),
    [
        (ToyPairs(4), Noisy(), "8 real photos at least, got 4"),
        (ToyPairs(8, size=40), Noisy(), r"toy00: photo \(40, 40, 3\).*compares 32×32"),
        (
            ToyPairs(8),
            lambda *_: np.zeros((1, 32, 32, 3), np.uint8),
            r"expected uint8 \(2, 32, 32, 3\)",
        ),
        (ToyPairs(8), lambda *_: np.zeros((2, 32, 32, 3)), "images are float64"),
    ],
)
def test_wrong_input_is_refused(reference: ToyPairs, generate, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        run(reference, generate)


def test_raw_label_ids_are_refused() -> None:
    class Raw(ToyPairs):
        def sample(self, index: int) -> ToyPair:
            pair = super().sample(index)
            return dataclasses.replace(pair, labels=np.where(pair.labels == 2, 255, pair.labels))

    with pytest.raises(ValueError, match=r"labels from 0 to 255, expected 0 … 2"):
        run(Raw(8), Noisy())


def test_controls_order_as_they_must() -> None:
    reference = ToyPairs(40)
    reports = control_reports(
        reference,
        Noisy(),
        others=ToyPairs(60, seed=1),
        name="model",
        label_space=SPACE,
        protocol=PROTOCOL,
        segmenter=Threshold(),
        progress=False,
    )
    model, other, blurred_photos, shuffled_layouts = (report.scores for report in reports)
    assert shuffled_layouts["mean_iou"] < 0.6 < model["mean_iou"]
    assert other["mean_iou"] < 0.6
    assert blurred_photos["lpips_to_real"] > 0
    lines = control_table(reports).splitlines()
    assert lines[0].startswith("|  | FID | KID ×1000 |")
    assert len(lines) == 7
    assert lines[5].startswith("| model, layouts shuffled |")
    assert lines[6].startswith("| the real photos, 20 against 20 |")


def test_control_generators() -> None:
    reference, others = ToyPairs(9), ToyPairs(20, seed=5)
    pair = reference.sample(3)
    assert photos_of(others, reference)(pair, 2, 0).shape == (2, 32, 32, 3)
    last = photos_of(others, reference)(reference.sample(8), 1, 0)[0]
    np.testing.assert_array_equal(last, others.sample(19).photo)
    with pytest.raises(ValueError, match="9 layouts need as many other photos, but there are 4"):
        photos_of(ToyPairs(4), reference)
    photo = pair.photo.astype(float)
    soft = blurred(2)(pair, 1, 0)[0].astype(float)
    assert np.abs(np.diff(soft, axis=0)).mean() < 0.3 * np.abs(np.diff(photo, axis=0)).mean()
    assert soft.mean() == pytest.approx(photo.mean(), abs=1.5)
    asked = []

    def spy(pair: ToyPair, count: int, seed: int) -> np.ndarray:
        asked.append(pair.stem)
        return np.zeros((count, 32, 32, 3), np.uint8)

    for index in range(9):
        shuffled(spy, reference)(reference.sample(index), 1, 0)
    assert sorted(asked) == reference.stems
    assert all(mine != other for mine, other in zip(reference.stems, asked, strict=True))


def test_folder_of_images_scores_as_its_maker_would(tmp_path: Path) -> None:
    reference, images = ToyPairs(10), {}

    def keep(pair: ToyPair, count: int, seed: int) -> np.ndarray:
        images[pair.stem] = Noisy()(pair, count, seed)
        return images[pair.stem]

    expected = run(reference, keep)
    for stem, styles in images.items():
        for number, image in enumerate(styles):
            Image.fromarray(image).save(tmp_path / f"{stem}_{number}.png")
    assert run(reference, images_from_folder(tmp_path, reference.stems, (32, 32))).scores == expected.scores


def test_with_the_true_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The true networks wired in: a strong blur is far, the photos themselves are at distance zero."""
    weights = shared_path("weights")
    monkeypatch.undo()
    instruments = Instruments.load(weights, None, 2, "cpu")
    pairs = [ToyPairs(3, size=64).sample(index) for index in range(3)]
    alone = np.concatenate([instruments.real([pair])["features"] for pair in reversed(pairs)])
    np.testing.assert_allclose(instruments.real(pairs)["features"], alone[::-1], atol=2e-5)
    blur = [blurred(3)(pair, 1, 0) for pair in pairs]
    assert instruments.generated(pairs, blur)["lpips_to_real"].min() > 0.1
    same = [pair.photo[None] for pair in pairs]
    np.testing.assert_allclose(instruments.generated(pairs, same)["lpips_to_real"], 0, atol=1e-6)


def test_comparison_of_saved_reports(tmp_path: Path) -> None:
    for folder, generate in (("a", Noisy()), ("b", blurred(1))):
        run(ToyPairs(10), generate, name=folder, out=tmp_path / folder)
    table = compare_reports([tmp_path / "a/report.json", tmp_path / "b/report.json"])
    assert [column.header for column in table.columns] == ["", "a", "b"]
    run(ToyPairs(10), Noisy(), protocol=dataclasses.replace(PROTOCOL, style="reference"), out=tmp_path / "c")
    with pytest.raises(ValueError, match=r"a/report.* and .*c/report.* style: 'prior' and 'reference'"):
        compare_reports([tmp_path / "a/report.json", tmp_path / "c/report.json"])
    run(ToyPairs(11), Noisy(), out=tmp_path / "d")
    with pytest.raises(ValueError, match="differ in real photos"):
        compare_reports([tmp_path / "a/report.json", tmp_path / "d/report.json"])
    shifted = Threshold()
    shifted.identity = "trained elsewhere"
    for folder, segmenter in (("f", Threshold()), ("g", shifted)):
        run(ToyPairs(10), Noisy(), segmenter=segmenter, out=tmp_path / folder)
    with pytest.raises(ValueError, match=r"differ in measuring networks \(Inception, LPIPS, segmenter\): "):
        compare_reports([tmp_path / "f/report.json", tmp_path / "g/report.json"])
    early = json.loads((tmp_path / "g/report.json").read_text())
    del early["versions"]["networks"]
    (tmp_path / "g/report.json").write_text(json.dumps(early))
    compare_reports([tmp_path / "f/report.json", tmp_path / "g/report.json"])
    with pytest.raises(ValueError, match="two reports at least, got 1"):
        compare_reports([tmp_path / "a/report.json"])
    (tmp_path / "e.json").write_text("{}")
    with pytest.raises(ValueError, match=r"e\.json: not a report"):
        compare_reports([tmp_path / "a/report.json", tmp_path / "e.json"])


@pytest.mark.gpu
def test_gpu_measures_what_the_cpu_measures(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = shared_path("weights")
    monkeypatch.undo()
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    pairs = [ToyPairs(3, size=64).sample(index) for index in range(3)]
    blur = [blurred(2)(pair, 2, 0) for pair in pairs]
    on_cpu, on_gpu = (
        Instruments.load(weights, None, 2, device).generated(pairs, blur) for device in ("cpu", "cuda")
    )
    for name, values in on_cpu.items():
        np.testing.assert_allclose(on_gpu[name], values, rtol=2e-2, atol=2e-2)
