"""Tables from hand-made reports: means, standard errors, and what must agree."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from tiny_comparison import write_plan

from ccfpse.compare import Comparison, Cost
from ccfpse.compare.table import Result, Results, Score, require_one_protocol
from ccfpse.metrics import Protocol, Report

COSTS = {"CC + FPSE": Cost(1_234_567, 8.125), "pix2pixHD + MsPatch": Cost(20_000, 0.5)}


@pytest.fixture
def plan(tmp_path: Path) -> Comparison:
    return Comparison.load(write_plan(tmp_path / "plan.yaml", tmp_path, tmp_path / "out"))


def report(style: str, fid: float, kid: float, diversity: float | None, **changes: Any) -> Report:
    protocol = Protocol((64, 64), style=style, styles=1 if style == "none" else 2, segmenter="reader")
    scores = {
        "fid": fid, "kid": kid, "kid_standard_error": 0.0005, "lpips_diversity": diversity,
        "lpips_to_real": 0.5, "mean_iou": 0.4, "accuracy": 0.7, "accuracy_labelled": 0.7, "accuracy_all": 0.6,
    }  # fmt: skip
    ceiling: dict[str, float | None] = {"mean_iou": 0.8, "accuracy_labelled": 0.9, "accuracy_all": 0.85}
    floor: dict[str, float | None] = {"fid": 12.0, "kid": 0.001, "images": 4.0}
    made = Report(
        "run", "", protocol, 9, "abc", scores, ceiling, floor, {}, ("few photos",), {"networks": "abc"}, 1.0
    )
    return dataclasses.replace(made, **changes)


def save(plan: Comparison, number: int, report: Report, seconds: float) -> Result:
    result = Result(plan.runs[number], report, seconds, "a machine")
    result.run.evaluation.mkdir(parents=True)
    report.save(result.run.evaluation / "report.json")
    result.save(plan)
    return result


def test_mean_and_standard_error_by_hand() -> None:
    score = Score.over([1.0, 2.0, 6.0])
    assert score.mean == 3
    assert score.standard_error == pytest.approx((7 / 3) ** 0.5)  # s² = (4 + 1 + 9) / 2
    assert Score.over([5.0], 0.25) == Score((5.0,), 0.25)


def test_rows(plan: Comparison) -> None:
    save(plan, 0, report("prior", 10.0, 0.002, 0.25), 0.5)
    save(plan, 1, report("none", 30.0, 0.004, None), 0.125)
    save(plan, 2, report("prior", 14.0, 0.004, 0.35), 0.25)
    results = Results.gather(plan, COSTS)
    text = results.markdown()
    lines = text.splitlines()
    assert lines[0] == (
        "| system | seeds | FID ↓ | KID ×1000 ↓ | mIoU % ↑ | accuracy % (labelled pixels) ↑ | "
        "LPIPS diversity ↑ | parameters, M | GMAC | s per image |"
    )
    assert lines[2] == (
        "| CC + FPSE | 2 | 12.0 ± 2.0 | 3.00 ± 1.00 | 40.0 ± 0.0 | 70.0 ± 0.0 | 0.300 ± 0.050 | "
        "1.23 | 8.12 | 0.375 |"
    )
    assert lines[3] == (
        "| pix2pixHD + MsPatch | 1 | 30.0 | 4.00 ± 0.50 | 40.0 | 70.0 | – | 0.02 | 0.50 | 0.125 |"
    )
    assert lines[4] == "| real photos |  | 12.0 | 1.00 | 80.0 | 90.0 |  |  |  |  |"
    assert "**Unfinished:** 3 of 4 runs are in." in text
    assert "few photos" in text
    assert "a machine" in text
    assert "- pix2pixHD + MsPatch: `generator.kind: pix2pixhd`" in text
    content = results.to_dict()
    assert content["missing"] == ["pix2pixHD + MsPatch, seed 1"]
    assert content["systems"][0]["scores"]["fid"]["values"] == (10.0, 14.0)
    assert content["systems"][0]["config"]["generator"]["kind"] == "cc"


def test_results_of_another_evaluation_do_not_count(plan: Comparison) -> None:
    save(plan, 0, report("prior", 10.0, 0.002, 0.25), 0.5)
    other = dataclasses.replace(plan, evaluation=dataclasses.replace(plan.evaluation, limit=8))
    assert Result.load(other, other.runs[0]) is None
    elsewhere = dataclasses.replace(plan, evaluation=dataclasses.replace(plan.evaluation, device="cpu"))
    assert Result.load(elsewhere, elsewhere.runs[0]) is not None
    assert Results.gather(other, COSTS).markdown() == "No run is finished yet.\n"


@pytest.mark.parametrize(
    ("styles", "changes", "message"),
    [
        (("prior", "none"), {"data_hash": "xyz"}, "real photos: abc and xyz"),
        (
            ("prior", "none"),
            {"protocol": Protocol((32, 64), style="none", styles=1, segmenter="reader")},
            "size",
        ),
        (
            ("none", "prior"),
            {"protocol": Protocol((64, 64), segmenter="other")},
            "segmenter: 'reader' and 'other'",
        ),
        (("prior", "prior"), {"protocol": Protocol((64, 64), segmenter="reader")}, "styles: 2 and 4"),
        (("prior", "none"), {"versions": {"networks": "def"}}, "measuring networks .*: abc and def"),
    ],
)
def test_one_protocol_is_asserted(
    plan: Comparison, styles: tuple[str, str], changes: dict[str, Any], message: str
) -> None:
    reports = [report(style, 10.0, 0.002, None) for style in styles]
    results = [Result(run, report, 1.0, "a machine") for run, report in zip(plan.runs, reports, strict=False)]
    require_one_protocol(results)
    early = dataclasses.replace(reports[1], versions={"torch": "2"})  # they do not tell what measured them
    require_one_protocol([results[0], dataclasses.replace(results[1], report=early)])
    results[1] = dataclasses.replace(results[1], report=dataclasses.replace(reports[1], **changes))
    with pytest.raises(ValueError, match=message):
        require_one_protocol(results)
