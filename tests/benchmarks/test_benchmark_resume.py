"""Going on with a run: what is stored is used again, and only where it means the same."""

import json
import sys
from pathlib import Path

import pytest
import torch
from benchmark_rows import made_row

from shared_files import REPOSITORY

sys.path.insert(0, str(REPOSITORY))
from benchmarks.plan import plan, table
from benchmarks.rounds import Effort, take_turns
from benchmarks.row import Row, too_slow
from benchmarks.store import Store, source_hash
from benchmarks.workloads import Workload

from benchmarks import __main__ as command

CPU = torch.device("cpu")
WANTED = table("coco")[:3]


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is measured, in order; the figures are made up."""
    order: list[str] = []

    def timed(workload: Workload, *_: object) -> Row:
        order.append(workload.name)
        return made_row(workload.name, workload.config, counts={})

    def in_own_process(workload: Workload, variant: str, _: torch.device) -> dict:
        order.append(f"{workload.name} {variant}")
        if len(order) == 5:
            raise KeyboardInterrupt
        return {"peak_bytes": 1}

    monkeypatch.setattr(command, "timed", timed)
    monkeypatch.setattr(command, "in_own_process", in_own_process)
    monkeypatch.setattr(command.measure, "machine_rates", lambda *_, **__: made_row()["rates"])
    return order


def test_an_interrupted_run_goes_on_with_what_is_missing(tmp_path: Path, measured: list[str]) -> None:
    def store() -> Store:
        return Store(tmp_path / "results" / "performance-cpu.json", "a machine", "0123")

    first = store()
    assert "nothing stored" in first.read()
    with pytest.raises(KeyboardInterrupt):
        command.measure_missing(WANTED, first, CPU, Effort(1), quick=False)
    measured.append("interrupted")
    second = store()
    assert "2 rows, measured before on this machine with these sources, are used again" in second.read()
    command.measure_missing(WANTED, second, CPU, Effort(1), quick=False)
    assert measured == [
        "apply", "apply plain", "apply fast", "op forward", "op forward plain", "interrupted",
        "op forward plain", "op forward fast",
        "op forward+backward", "op forward+backward plain", "op forward+backward fast",
    ]  # fmt: skip
    third = store()
    third.read()
    command.measure_missing(WANTED, third, CPU, Effort(1), quick=False)
    assert len(measured) == 11
    assert list((tmp_path / "results").iterdir()) == [third.path]  # nothing half written is left


@pytest.mark.parametrize(
    ("machine", "source", "says"),
    [("another", "0123", "another machine or torch"), ("a machine", "4567", "other sources: 0123, now 4567")],
)
def test_rows_of_another_machine_or_other_sources_are_dropped(
    tmp_path: Path, machine: str, source: str, says: str
) -> None:
    path = tmp_path / "performance-cpu.json"
    Store(path, "a machine", "0123").put(made_row())
    store = Store(path, machine, source)
    told = store.read()
    assert "its 1 rows are dropped" in told
    assert says in told
    assert store.rows == {}
    store.put(made_row("styles", styles=16))
    kept = json.loads(path.read_text())
    assert (kept["machine"], kept["source"], len(kept["rows"])) == (machine, source, 1)


def test_a_file_that_is_no_results_file_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "performance-cpu.json"
    path.write_text('{"rows": [')
    assert "cannot be read" in Store(path, "a machine", "0123").read()


def test_the_source_hash_follows_what_decides_a_row(tmp_path: Path) -> None:
    for folder in ("src/ccfpse/ops", "benchmarks"):
        (tmp_path / folder).mkdir(parents=True)
    operator, workloads, plot = (
        tmp_path / name for name in ("src/ccfpse/ops/a.py", "benchmarks/workloads.py", "benchmarks/plot.py")
    )
    operator.write_text("a")
    hashes = [source_hash(tmp_path)]
    for path in (workloads, operator):
        path.write_text("something else")
        hashes.append(source_hash(tmp_path))
    assert len(set(hashes)) == 3
    plot.write_text("a picture is no measurement")
    assert source_hash(tmp_path) == hashes[-1]


def clock(monkeypatch: pytest.MonkeyPatch, seconds: dict[str, float]) -> list[str]:
    order: list[str] = []

    def seconds_of(run: object, _: torch.device) -> float:
        order.append(run())  # type: ignore[operator]
        return seconds[order[-1]]

    monkeypatch.setattr("benchmarks.rounds.seconds_of", seconds_of)
    return order


RUNS = {"plain": lambda: "plain", "fast": lambda: "fast"}


def test_rounds_take_turns_within_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    order = clock(monkeypatch, {"plain": 2.0, "fast": 1.0})
    times, first_counts = take_turns(RUNS, CPU, Effort(10))  # three rounds of 3 s; a fourth would end at 12 s
    assert order == ["fast", "plain"] * 4  # the first is not counted
    assert times == {"plain": [2.0] * 3, "fast": [1.0] * 3}
    assert not first_counts
    times, _ = take_turns(RUNS, CPU, Effort(1000, most=5))
    assert len(times["plain"]) == 5


def test_a_first_round_counts_where_it_takes_too_long_to_be_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    order = clock(monkeypatch, {"plain": 40.0, "fast": 30.0})
    times, first_counts = take_turns(RUNS, CPU, Effort(60, first_counts_beyond=60))
    assert order == ["fast", "plain"] * 2
    assert first_counts
    assert times == {"plain": [40.0] * 2, "fast": [30.0] * 2}


def test_plain_is_not_waited_for_beyond_a_minute() -> None:
    base = made_row(seconds={"plain": 9.0})
    point = Workload("one image", "coco", size=1024)
    assert "some 144 s" in (too_slow("plain", point, CPU, base) or "")  # sixteen times the pixels
    assert too_slow("plain", Workload("one image", "coco", size=512), CPU, base) is None  # 36 s
    assert too_slow("fast", point, CPU, base) is None
    assert too_slow("plain", point, torch.device("cuda"), base) is None


def test_the_plan_measures_each_workload_once_and_one_image_before_its_other_sizes() -> None:
    wanted = plan(["demo", "coco"])
    assert len(wanted) == len(set(wanted)) == 2 * (8 + 3 + 2)  # 256² and 1 and 16 styles are rows already
    alone = plan(["coco"], "scaling")
    assert alone[0] == Workload("one image", "coco")
    assert len(alone) == 7


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--device", "gpu"], "--device: device 'gpu' cannot be used here"),
        (["--seconds-per-row", "-1"], "--seconds-per-row: -1.0 is less than 0"),
        (["--out", str(REPOSITORY / "README.md")], "README.md is a file; give a folder"),
    ],
)
def test_wrong_arguments_are_told_in_a_line(
    arguments: list[str], sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks", *arguments])
    with pytest.raises(SystemExit) as stopped:
        command.main()
    assert stopped.value.code == 2
    assert sentence in capsys.readouterr().err
