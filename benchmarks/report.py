"""The results as a table, as JSON, and as a plot; the table goes into a document between two markers."""

import json
import platform
import re
from pathlib import Path
from typing import Any

import torch

from benchmarks.plot import scaling_plot

MEGABYTE = 2**20
HEADER = (
    "| | | s per image | × plain | peak MB | × plain | GFLOP/s | % of matmul | GB/s | % of copy |",
    "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|",
)


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


def as_table(results: dict[str, Any]) -> str:
    """Markdown: one line per configuration, workload and variant; ratios are to the plain variant."""
    rates = results["rates"]
    known = ", ".join(f"{name} {rate:.0f}" for name, rate in rates.items() if rate and name != "copy")
    lines = [
        results["machine"],
        "",
        f"Matrix products: {known} GFLOP/s; copying: {rates['copy']:.0f} GB/s.",
        "",
        *HEADER,
    ]
    for row in results["rows"]:
        title = f"{row['config']}: {row['name']}" + (f", {row['styles']} styles" if row["styles"] > 1 else "")
        for variant in row["seconds"]:
            lines.append(_line(title, variant, row, rates))
            title = ""
        if "plain" in row["seconds"] and "saved_bytes" in row["counts"]["plain"]:
            lines.append(_saved(row))
        lines += [
            f"| {title} | {variant} | {reason} |||||||||" for variant, reason in row["not_measured"].items()
        ]
    return "\n".join(lines)


def _line(title: str, variant: str, row: dict[str, Any], rates: dict[str, float | None]) -> str:
    seconds, counts = row["seconds"][variant], row["counts"][variant]
    plain, plain_counts = row["seconds"].get("plain"), row["counts"].get("plain")
    compared = plain is not None and variant != "plain"
    cells = [
        title,
        variant,
        f"{seconds:.4g}",
        f"{plain / seconds:.2f}" if compared else "",
        f"{counts['peak_bytes'] / MEGABYTE:.0f}",
        f"{counts['peak_bytes'] / max(1, plain_counts['peak_bytes']):.2f}" if compared else "",
    ]
    rate = counts["flops"] / seconds / 1e9
    matmul = rates["bfloat16" if variant == "fast bfloat16" else "float32"]
    cells += [f"{rate:.0f}", f"{100 * rate / matmul:.0f}"] if counts["flops"] and matmul else ["", ""]
    moved, copy = row["moved_bytes"].get(variant), rates["copy"]
    if moved and copy:
        cells += [f"{moved / seconds / 1e9:.1f}", f"{100 * moved / seconds / 1e9 / copy:.0f}"]
    else:
        cells += ["", ""]
    return "| " + " | ".join(cells) + " |"


def _saved(row: dict[str, Any]) -> str:
    saved = {variant: counts["saved_bytes"] for variant, counts in row["counts"].items()}
    words = ", ".join(f"{variant} {value / MEGABYTE:.0f} MB" for variant, value in saved.items())
    ratios = ", ".join(f"{value / saved['plain']:.2f}" for name, value in saved.items() if name != "plain")
    return f"| | saved for backward, per image: {words}; ratio {ratios} |||||||||"


def write(results: dict[str, Any], folder: Path, device: str) -> None:
    """JSON, and the plot where scaling was measured."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"performance-{device}.json").write_text(json.dumps(results, indent=1) + "\n")
    if results["scaling"]:
        (folder / f"performance-{device}.svg").write_text(scaling_plot(results["scaling"]))


def insert(results: dict[str, Any], document: Path, device: str) -> None:
    """Puts the table between the device's two markers.

    Raises:
        ValueError: where the document has no such markers.
    """
    begin, end = f"<!-- benchmarks {device} -->", f"<!-- end of benchmarks {device} -->"
    text = document.read_text()
    if begin not in text or end not in text:
        raise ValueError(
            f"{document}: the lines {begin!r} and {end!r} are missing; put them where the table goes"
        )
    plot = f"![Scaling](performance-{device}.svg)"
    before, after = text.split(begin)[0], text.split(end)[1]
    document.write_text(f"{before}{begin}\n{as_table(results)}\n\n{plot}\n{end}{after}")
