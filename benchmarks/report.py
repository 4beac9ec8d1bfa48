"""The results in words: targets, table, scaling; they go into a document between two markers."""

import platform
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from benchmarks import figures, plan
from benchmarks.plot import scaling_plot
from benchmarks.row import Row
from benchmarks.store import workload_of
from benchmarks.targets import judged
from benchmarks.workloads import Workload
from ccfpse.training.report import write_atomically

MEGABYTE = 2**20
HEADER = (
    "| | | s per image | × plain | rounds | peak MB | × plain | GFLOP/s | % of matmul | GB/s | % of copy |",
    "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
)
Rows = dict[Workload, Row]


def machine(device: torch.device) -> str:
    """What was measured on, in words."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    else:
        cpuinfo = Path("/proc/cpuinfo")
        text = cpuinfo.read_text() if cpuinfo.exists() else ""
        model = re.search(r"model name\s*: (.*)", text)
        name = model.group(1) if model else platform.processor() or platform.machine()
        capability = torch.backends.cpu.get_cpu_capability()
        name += f", {torch.get_num_threads()} threads, {capability}"
    return f"{name}; torch {torch.__version__}"


class Notes:
    """Reasons, each once, with a number to refer to it."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def mark(self, reason: str) -> str:
        return f"[{self._numbers.setdefault(reason, len(self._numbers) + 1)}]"

    def lines(self) -> list[str]:
        return [f"- [{number}] not measured: {reason}" for reason, number in self._numbers.items()]


def as_text(results: dict[str, Any], device: str) -> str:
    """Markdown: the machine, the targets, a line per configuration, workload and variant, and scaling."""
    rows: Rows = {workload_of(row): row for row in results["rows"]}
    configs = list(dict.fromkeys(workload.config for workload in rows))
    notes = Notes()
    table = [line for config in configs for line in _table(config, rows, notes)]
    scaling = [line for config in configs for line in _scaling(config, rows, notes)]
    parts = [
        [f"{results['machine']}; {_measured(results)}"],
        [_rates(results["rows"])],
        _targets(device, results["rows"]),
        [*HEADER, *table] if table else [],
        _saved(results["rows"]),
        [*_scaling_header(configs), *scaling] if scaling else [],
        notes.lines(),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part)


def _measured(results: dict[str, Any]) -> str:
    """The days, and the state of the sources, which may have changed since."""
    days = sorted({row["measured_at"][:10] for row in results["rows"]})
    return f"measured {' to '.join(dict.fromkeys([days[0], days[-1]]))}, sources {results['source']}"


def _rates(rows: Iterable[Row]) -> str:
    """Of the machine; where rows were measured in several runs, from the lowest to the highest."""
    found: dict[str, set[float]] = {}
    for row in rows:
        for name, rate in row["rates"].items():
            if rate:
                found.setdefault(name, set()).add(rate)

    def words(name: str) -> str:
        low, high = f"{min(found[name]):.0f}", f"{max(found[name]):.0f}"
        return low if low == high else f"{low} to {high}"

    products = ", ".join(f"{name} {words(name)}" for name in found if name != "copy")
    runs = len({tuple(row["rates"].values()) for row in rows})
    several = f" The rows were measured in {runs} runs; shares are of the rates of each." if runs > 1 else ""
    return f"Matrix products: {products} GFLOP/s; copying: {words('copy')} GB/s.{several}"


def _targets(device: str, rows: list[Row]) -> list[str]:
    lines = judged(device, rows)
    if not lines:
        return []
    return [
        "| target, full COCO configuration | goal | measured | verdict | at the matmul rate |",
        "|---|--:|--:|---|--:|",
        *(f"| {' | '.join(line)} |" for line in lines),
    ]


def _table(config: str, rows: Rows, notes: Notes) -> list[str]:
    lines = []
    for workload in plan.table(config):
        if workload not in rows:
            continue
        row, title = rows[workload], workload.title
        for variant in row["seconds"]:
            lines.append(_line(title, variant, row))
            title = ""
        for variant, reason in row["not_measured"].items():
            lines.append(f"| {title} | {variant} | {notes.mark(reason)} | | | | | | | | |")
            title = ""
    return lines


def _line(title: str, variant: str, row: Row) -> str:
    peak = row["counts"].get(variant, {}).get("peak_bytes")
    compared = variant != "plain"
    cells = [
        title,
        variant,
        f"{row['seconds'][variant]:.4g}",
        _number(figures.speedup(row, variant) if compared else None, ".2f"),
        _rounds(row, variant),
        _number(None if peak is None else peak / MEGABYTE, ".0f"),
        _number(figures.relative(row, variant, "peak_bytes") if compared else None, ".2f"),
        _number(figures.rate(row, variant), ".0f"),
        _number(figures.share_of_matmul(row, variant), ".0f", 100),
        _number(figures.copying(row, variant), ".1f"),
        _number(figures.share_of_copying(row, variant), ".0f", 100),
    ]
    return "| " + " | ".join(cells) + " |"


def _rounds(row: Row, variant: str) -> str:
    return f"{len(row['times'][variant])}" + (", cold" if row["first_round_counts"] else "")


def _number(value: float | None, form: str, factor: float = 1) -> str:
    return "" if value is None else format(value * factor, form)


def _saved(rows: Iterable[Row]) -> list[str]:
    lines = []
    for row in rows:
        saved = {
            variant: found["saved_bytes"]
            for variant, found in row["counts"].items()
            if "saved_bytes" in found
        }
        if saved:
            words = ", ".join(
                f"{variant} {saved[variant] / MEGABYTE:.0f} MB"
                + (f" ({ratio:.2f}× plain)" if variant != "plain" and ratio is not None else "")
                for variant in saved
                for ratio in [figures.relative(row, variant, "saved_bytes")]
            )
            lines.append(f"- Saved for the backward pass, per image, {row['config']}: {words}.")
    return lines


def _scaling_header(configs: list[str]) -> list[str]:
    sizes = dict.fromkeys(size for config in configs for size in plan.over_sizes(config))
    styles = dict.fromkeys(count for config in configs for count in plan.over_styles(config))
    columns = [f"{size}²" for size in sizes] + [f"{n} style{'s' if n > 1 else ''}" for n in styles]
    return [f"| s per image | | {' | '.join(columns)} |", "|---|---|" + "--:|" * len(columns)]


def _scaling(config: str, rows: Rows, notes: Notes) -> list[str]:
    """A line per variant: seconds per image, and how many times faster than plain."""
    points = [rows.get(w) for w in (*plan.over_sizes(config).values(), *plan.over_styles(config).values())]
    known = [point for point in points if point]
    if len(known) < len(points):
        return []
    variants = dict.fromkeys(v for point in known for v in (*point["seconds"], *point["not_measured"]))
    lines = []
    for number, variant in enumerate(v for v in variants if any(v in point["seconds"] for point in known)):
        cells = [_point(point, variant, notes) for point in known]
        lines.append(f"| {'' if number else config} | {variant} | {' | '.join(cells)} |")
    return lines


def _point(row: Row, variant: str, notes: Notes) -> str:
    if variant in row["not_measured"]:
        return notes.mark(row["not_measured"][variant])
    ratio = figures.speedup(row, variant)
    compared = f" ({ratio:.3g}×)" if variant != "plain" and ratio is not None else ""
    return f"{row['seconds'][variant]:.3g}{compared}"


def plot(results: dict[str, Any]) -> str | None:
    """The plot, or None where no configuration's scaling is complete."""
    rows: Rows = {workload_of(row): row for row in results["rows"]}
    series: list[dict[str, dict[int, Row]]] = []
    for axis in (plan.over_sizes, plan.over_styles):
        panel = {}
        for config in dict.fromkeys(workload.config for workload in rows):
            points = {x: rows[workload] for x, workload in axis(config).items() if workload in rows}
            if len(points) == len(axis(config)):
                panel[config] = points
        series.append(panel)
    by_size, by_styles = series
    return scaling_plot(by_size, by_styles, results["machine"]) if by_size and by_styles else None


def publish(results: dict[str, Any], folder: Path, device: str) -> None:
    """The plot beside the results."""
    drawn = plot(results)
    if drawn is not None:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / f"performance-{device}.svg", drawn.encode())


def insert(results: dict[str, Any], document: Path, device: str) -> None:
    """Puts the text and the plot between the device's two markers.

    Raises:
        ValueError: where the document has no such markers.
    """
    begin, end = f"<!-- benchmarks {device} -->", f"<!-- end of benchmarks {device} -->"
    text = document.read_text()
    if begin not in text or end not in text:
        raise ValueError(
            f"{document}: the lines {begin!r} and {end!r} are missing; put them where the table goes"
        )
    picture = f"![Seconds per image over resolution and number of styles](performance-{device}.svg)"
    before, after = text.split(begin)[0], text.split(end)[1]
    text = f"{before}{begin}\n{as_text(results, device)}\n\n{picture}\n{end}{after}"
    write_atomically(document, text.encode())
