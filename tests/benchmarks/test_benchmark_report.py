"""What the results say: ratios and verdicts worked out by hand from rows made by hand."""

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from benchmark_rows import made_row

from shared_files import REPOSITORY

sys.path.insert(0, str(REPOSITORY))
from benchmarks.targets import judged

from benchmarks import plan, report


def results(*rows: dict) -> dict:
    return {"machine": "a machine", "source": "0123", "rows": list(rows)}


def training_forward() -> dict:
    counts = {"plain": {"peak_bytes": 1, "saved_bytes": 2000 << 20, "flops": 640e9}}
    counts["fast kernels"] = {"peak_bytes": 1, "saved_bytes": 400 << 20}
    counts["fast full"] = {"peak_bytes": 1, "saved_bytes": 300 << 20}
    return made_row("training forward", counts=counts, not_measured={})


def test_targets_are_met_missed_or_say_why_not() -> None:
    rows = [
        made_row(),
        made_row("styles", styles=16, seconds={"plain": 8.0, "fast": 0.5}),
        training_forward(),
        made_row("training step", counts={"plain": {"flops": 640e9}}, seconds={"plain": 8.0, "fast": 2.5}),
    ]
    verdicts = {text: (measured, verdict, limit) for text, _, measured, verdict, limit in judged("cpu", rows)}
    # 8 / 4 s; 300 GFLOP at 100 GFLOP/s would take 3 s of plain's 8.
    assert verdicts["one image, float32"] == ("2× plain", "met", "2.67× plain")
    assert verdicts["one image, bfloat16"] == ("", "no such instructions", "")
    assert verdicts["an image of 16 styles, float32"][:2] == ("16× plain", "met")
    # 240 of 800 MB where a quarter is asked for: a fifth too much.
    assert verdicts["peak memory beyond weights, one image"] == ("0.3× plain", "missed by 20 %", "")
    assert verdicts["saved for backward, kernels predicted again"][:2] == ("0.2× plain", "met")
    assert verdicts["the same, blocks computed again"][:2] == ("0.15× plain", "missed by 50 %")
    # No count of its own: what arithmetic allows is not known.
    assert verdicts["training step, everything kept"] == ("3.2× plain", "met", "")
    assert verdicts["training step, kernels predicted again"] == ("", "not measured", "")


def test_targets_are_those_of_the_device_and_of_the_full_configuration() -> None:
    assert judged("cpu", [made_row(config="demo")]) == []
    rates = {"float32": 1000.0, "bfloat16": 2000.0, "copy": 100.0}
    seconds = {"plain": 1.0, "fast": 0.5, "fast bfloat16": 0.25}
    moved = {"plain": 30e9, "fast": 30e9, "fast bfloat16": 20e9}
    rows = [
        made_row(seconds=seconds, rates=rates, counts={"plain": {}, "fast bfloat16": {"flops": 300e9}}),
        made_row("apply", seconds=seconds, rates=rates, moved_bytes=moved),
    ]
    verdicts = [(measured, verdict) for _, _, measured, verdict, _ in judged("cuda", rows)]
    # 1200 of 2000 GFLOP/s; 60 and 80 of 100 GB/s where 80 are asked for.
    assert verdicts == [("60%", "met"), ("", "not measured"), ("60%", "missed by 25 %"), ("80%", "met")]


def test_the_table() -> None:
    text = report.as_text(results(made_row(), training_forward()), "cpu")
    assert "| coco: one image | plain | 8 |  | 3 | 800 |  | 80 | 80 |  |  |" in text
    assert "|  | fast | 4 | 2.00 | 3 | 240 | 0.30 | 75 | 75 |  |  |" in text
    assert "|  | fast bfloat16 | [1] |" in text
    assert "- [1] not measured: no such instructions" in text
    # 640 GFLOP of plain stand for the fast training forward, too: 160 of 100 GFLOP/s.
    assert "|  | fast | 4 | 2.00 | 3 |  |  | 160 | 160 |  |  |" in text
    assert "coco: plain 2000 MB, fast kernels 400 MB (0.20× plain), fast full 300 MB (0.15× plain)." in text
    assert "Matrix products: float32 100 GFLOP/s; copying: 10 GB/s." in text
    assert text.startswith("a machine; measured 2026-01-01, sources 0123\n")
    later = results(made_row(), made_row("styles", measured_at="2026-11-27T00:00:00+00:00"))
    assert report.as_text(later, "cpu").startswith("a machine; measured 2026-01-01 to 2026-11-27, sources")


def test_shares_are_of_the_rates_of_the_rows_own_run() -> None:
    slow = {"float32": 50.0, "bfloat16": None, "copy": 10.0}
    text = report.as_text(results(made_row(), made_row("cached layout", rates=slow)), "cpu")
    assert "float32 50 to 100 GFLOP/s; copying: 10 GB/s. The rows were measured in 2 runs" in text
    assert "| coco: one image | plain | 8 |  | 3 | 800 |  | 80 | 80 |" in text
    assert "| coco: cached layout | plain | 8 |  | 3 | 800 |  | 80 | 160 |" in text


def scaling_rows() -> list[dict]:
    points = dict.fromkeys([*plan.over_sizes("coco").values(), *plan.over_styles("coco").values()])
    rows = [made_row(w.name, size=w.size, styles=w.styles) for w in points]
    for row in rows:
        if row["size"] == 1024:
            row["seconds"] = {"fast": 64.0}
            row["not_measured"] = {"plain": "too slow"}
    return rows


def test_scaling_is_a_table_where_it_is_complete() -> None:
    text = report.as_text(results(*scaling_rows()), "cpu")
    assert (
        "| s per image | | 128² | 256² | 512² | 1024² | 1 style | 4 styles | 16 styles | 64 styles |" in text
    )
    assert "| coco | plain | 8 | 8 | 8 | [2] | 8 | 8 | 8 | 8 |" in text
    assert "|  | fast | 4 (2×) | 4 (2×) | 4 (2×) | 64 | 4 (2×) | 4 (2×) | 4 (2×) | 4 (2×) |" in text
    assert "- [2] not measured: too slow" in text
    assert "s per image | | 128²" not in report.as_text(results(*scaling_rows()[1:]), "cpu")


def test_the_plot_has_a_line_per_panel_and_variant_and_a_dot_per_point() -> None:
    svg = report.plot(results(*scaling_rows()))
    assert svg is not None
    names = [element.tag.split("}")[1] for element in ElementTree.fromstring(svg).iter()]
    in_legend = 3  # plain, fast, and the one configuration
    assert names.count("polyline") == 2 * 2 + in_legend
    assert names.count("circle") == (4 + 3) + (4 + 4) + 2 * in_legend
    assert report.plot(results(made_row())) is None


def test_the_text_goes_between_its_markers(tmp_path: Path) -> None:
    document = tmp_path / "performance.md"
    document.write_text("above\n<!-- benchmarks cpu -->\nold\n<!-- end of benchmarks cpu -->\nbelow\n")
    for _ in range(2):
        report.insert(results(made_row()), document, "cpu")
        lines = document.read_text().splitlines()
        machines = sum(line.startswith("a machine; ") for line in lines)
        assert (lines[0], lines[-1], machines) == ("above", "below", 1)
        assert "old" not in lines
    with pytest.raises(ValueError, match="benchmarks cuda"):
        report.insert(results(made_row()), document, "cuda")
    committed = (REPOSITORY / "docs" / "performance.md").read_text()
    for device in ("cpu", "cuda"):
        assert f"<!-- benchmarks {device} -->" in committed
        assert f"<!-- end of benchmarks {device} -->" in committed
