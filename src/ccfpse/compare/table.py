"""The results of a comparison as a table: means over the seeds with their standard errors."""

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ccfpse.compare.cost import Cost
from ccfpse.compare.plan import Comparison, Run, System
from ccfpse.metrics import Protocol, Report
from ccfpse.metrics.report import shown
from ccfpse.training.report import write_atomically

FORMAT = "ccfpse comparison 1"


@dataclass(frozen=True)
class Result:
    """What was measured of one run."""

    run: Run
    report: Report
    seconds_per_image: float
    machine: str

    def save(self, plan: Comparison) -> None:
        """Marks the run's evaluation as complete; its report is saved already."""
        content = {
            "evaluation": plan.describe_evaluation(),
            "seconds_per_image": self.seconds_per_image,
            "machine": self.machine,
        }
        write_atomically(self.run.result, json.dumps(content, indent=2).encode())

    @classmethod
    def load(cls, plan: Comparison, run: Run) -> "Result | None":
        """The result, or None where the run is not evaluated, or was by other choices than the plan's."""
        if not run.result.is_file():
            return None
        content = json.loads(run.result.read_text("utf-8"))
        if content["evaluation"] != plan.describe_evaluation():
            return None
        report = Report.load(run.evaluation / "report.json")
        return cls(run, report, content["seconds_per_image"], content["machine"])

    def scores(self) -> dict[str, float | None]:
        """The scores that the table has, NaN being none."""
        found = self.report.scores | {"seconds_per_image": self.seconds_per_image}
        chosen = {name: found[name] for name in score_names(self.report.protocol)}
        return {name: None if v is None or math.isnan(v) else v for name, v in chosen.items()}


def score_names(protocol: Protocol) -> tuple[str, ...]:
    accuracy = f"accuracy_{protocol.ignore}"
    return ("fid", "kid", "mean_iou", accuracy, "lpips_diversity", "seconds_per_image")


@dataclass(frozen=True)
class Score:
    """values: one for each seed. standard_error: of their mean; of KID from one seed, of its estimate."""

    values: tuple[float, ...]
    standard_error: float | None = None

    @property
    def mean(self) -> float:
        return statistics.fmean(self.values)

    @classmethod
    def over(cls, values: Sequence[float], own_error: float | None = None) -> "Score":
        """The mean of several seeds with the standard error of it: s / √n, with s² by n - 1."""
        if len(values) > 1:
            return cls(tuple(values), statistics.stdev(values) / math.sqrt(len(values)))
        return cls(tuple(values), own_error)


@dataclass(frozen=True)
class Row:
    """One system: its cost, and its scores over the seeds that are in (None: not measured)."""

    system: System
    cost: Cost
    seeds: tuple[int, ...]
    scores: dict[str, Score | None]


@dataclass(frozen=True)
class Results:
    """Everything that is in of a comparison; `missing` are the runs that are not."""

    plan: Comparison
    rows: tuple[Row, ...]
    missing: tuple[Run, ...]
    one: Result | None  # any result: what all share, photos, protocol, floor and ceiling, is read off it
    machines: tuple[str, ...]

    @classmethod
    def gather(cls, plan: Comparison, costs: dict[str, Cost]) -> "Results":
        """Reads the results from the runs' folders; ValueError unless all were measured by one protocol."""
        results = [result for run in plan.runs if (result := Result.load(plan, run)) is not None]
        require_one_protocol(results)
        found = {(result.run.system.name, result.run.seed) for result in results}
        missing = [run for run in plan.runs if (run.system.name, run.seed) not in found]
        rows = []
        for system in plan.systems:
            own = [result for result in results if result.run.system == system]
            if own:
                seeds = tuple(result.run.seed for result in own)
                rows.append(Row(system, costs[system.name], seeds, _scores(own)))
        styled = [result for result in results if result.report.protocol.style != "none"]
        one = (styled + results)[0] if results else None
        machines = tuple(sorted({result.machine for result in results}))
        return cls(plan, tuple(rows), tuple(missing), one, machines)

    def markdown(self) -> str:
        """The table with all that is needed to judge it."""
        if self.one is None:
            return "No run is finished yet.\n"
        protocol, report = self.one.report.protocol, self.one.report
        heads = ["system", "seeds", *(_heading(name) for name in score_names(protocol)[:-1])]
        lines = [[*heads, "parameters, M", "GMAC", "s per image"]]
        lines += [[row.system.name, str(len(row.seeds)), *self._cells(row)] for row in self.rows]
        bounds = [_bound(report, name) for name in score_names(protocol)[:-2]]
        lines.append(["real photos", "", *bounds, "", "", "", ""])
        rule = ["---", *["---:"] * (len(lines[0]) - 1)]
        table = "\n".join(f"| {' | '.join(line)} |" for line in [lines[0], rule, *lines[1:]])
        return f"{table}\n\n{self._notes()}"

    def _cells(self, row: Row) -> list[str]:
        cells = [_shown(name, score) for name, score in row.scores.items()]
        cost = [f"{row.cost.parameters / 1e6:.2f}", f"{row.cost.gmac:.2f}"]
        return [*cells[:-1], *cost, cells[-1]]

    def _notes(self) -> str:
        assert self.one is not None
        report, plan = self.one.report, self.plan
        size = "×".join(map(str, report.protocol.size))
        notes = [
            f"Trained at {size} on {plan.images:,} images seen per run. ± is the standard error over "
            "the seeds; of a single seed, that of KID's estimate.",
            "Real photos: FID and KID of one half against the other (half as many photos: more bias in FID); "
            "mIoU and accuracy of the segmenter on the photos.",
            f"Evaluated on {report.images} photos ({report.data_hash}). Protocol: {report.protocol}. "
            "Systems without a style vector draw one image per layout.",
            f"GMAC: multiply-accumulates of the generator's convolutions for one image at {size}. Seconds: "
            f"median of single draws on {', '.join(self.machines)}.",
            *report.warnings,
        ]
        if self.missing:
            total = len(plan.runs)
            notes.insert(0, f"**Unfinished:** {total - len(self.missing)} of {total} runs are in.")
        changes = [f"- {row.system.name}: {_listed(row.system.overrides)}" for row in self.rows]
        return (
            "\n".join(f"{note}\n" for note in notes)
            + "\nFields of each system:\n\n"
            + "\n".join(changes)
            + "\n"
        )

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON, with every seed's value and every system's whole config."""
        shared: dict[str, Any] = {}
        if self.one is not None:
            report = asdict(self.one.report)
            shared = {name: report[name] for name in ("protocol", "images", "data_hash", "floor", "ceiling")}
            shared["versions"] = report["versions"]
        return {
            "format": FORMAT,
            "images_seen": self.plan.images,
            "seeds": list(self.plan.seeds),
            "evaluation": shared,
            "machines": list(self.machines),
            "missing": [str(run) for run in self.missing],
            "systems": [_row_dict(row) for row in self.rows],
        }

    def save(self, out: Path) -> None:
        """Writes table.md and table.json, each moved into place when it is complete."""
        write_atomically(out / "table.md", self.markdown().encode())
        content = json.dumps(self.to_dict(), indent=2, ensure_ascii=False)
        write_atomically(out / "table.json", f"{content}\n".encode())


def require_one_protocol(results: Sequence[Result]) -> None:
    """ValueError, naming what differs, unless all were measured on the same photos by one protocol and the
    same networks.

    Where styles come from, and how many there are, counts among the systems that have a style vector.
    """
    first: dict[bool, Result] = {}
    for result in results:
        styled = result.report.protocol.style != "none"
        others = [other for known, other in first.items() if known == styled] or list(first.values())
        for other in others:
            differences = other.report.differences(result.report)
            if other is not first.get(styled):
                differences = [d for d in differences if d.split(":")[0] not in ("style", "styles")]
            if differences:
                raise ValueError(
                    f"{other.run} and {result.run} do not compare, for their evaluations differ in "
                    f"{'; '.join(differences)}; delete {other.run.result} and {result.run.result} and run "
                    "the comparison again"
                )
        first.setdefault(styled, result)


def _scores(results: Sequence[Result]) -> dict[str, Score | None]:
    own_error = results[0].report.scores["kid_standard_error"]
    found: dict[str, Score | None] = {}
    for name in score_names(results[0].report.protocol):
        values = [result.scores()[name] for result in results]
        known = [value for value in values if value is not None]
        whole = len(known) == len(values)
        found[name] = Score.over(known, own_error if name == "kid" else None) if whole else None
    return found


DECIMALS = {
    "fid": 1,
    "kid": 2,
    "mean_iou": 1,
    "accuracy_labelled": 1,
    "accuracy_all": 1,
    "lpips_diversity": 3,
}
HEADINGS = {
    "fid": "FID ↓",
    "kid": "KID ×1000 ↓",
    "mean_iou": "mIoU % ↑",
    "lpips_diversity": "LPIPS diversity ↑",
}


def _heading(name: str) -> str:
    return HEADINGS.get(name) or f"accuracy % ({name.removeprefix('accuracy_')} pixels) ↑"


def _shown(name: str, score: Score | None) -> str:
    if score is None:
        return "–"
    if name == "seconds_per_image":
        return f"{score.mean:.3g}"
    text = shown(score.mean, name, DECIMALS[name])
    if score.standard_error is not None:
        text += f" ± {shown(score.standard_error, name, DECIMALS[name])}"
    return text


def _bound(report: Report, name: str) -> str:
    known = report.floor if name in ("fid", "kid") else report.ceiling
    return shown(known.get(name), name, DECIMALS[name])


def _row_dict(row: Row) -> dict[str, Any]:
    scores = {
        name: None if score is None else asdict(score) | {"mean": score.mean}
        for name, score in row.scores.items()
    }
    return {
        "name": row.system.name,
        "fields": dict(row.system.overrides),
        "seeds": list(row.seeds),
        "parameters": row.cost.parameters,
        "gmac": row.cost.gmac,
        "scores": scores,
        "config": row.system.config.to_dict(),
    }


def _listed(overrides: Mapping[str, Any]) -> str:
    return ", ".join(f"`{name}: {value}`" for name, value in overrides.items()) or "as shared"
