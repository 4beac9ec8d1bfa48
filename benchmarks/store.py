"""The results file: every row as soon as it is measured, and what of it a later run may use again."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.row import Row
from benchmarks.workloads import Workload
from ccfpse.training.report import write_atomically

ROOT = Path(__file__).resolve().parents[1]
# These show results, or measure something else; all other sources decide what a row means.
NO_PART = {"figures.py", "plot.py", "progress.py", "report.py", "targets.py"} | {
    "spectrum.py", "studio_load.py", "studio_stroke.py",
}  # fmt: skip


def source_hash(root: Path = ROOT) -> str:
    """Of the package and of what measures it; the workloads' definitions are part of that."""
    package = sorted((root / "src" / "ccfpse").rglob("*.py"))
    here = [path for path in sorted((root / "benchmarks").glob("*.py")) if path.name not in NO_PART]
    digest = hashlib.sha256()
    for path in (*package, *here):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:12]


@dataclass
class Store:
    """Rows measured on one machine (with its torch) with one state of the sources, in a file."""

    path: Path
    machine: str
    source: str
    rows: dict[Workload, Row] = field(default_factory=dict)

    def read(self) -> str:
        """Takes over the file's rows where machine and sources are the same; says in words what it did."""
        if not self.path.exists():
            return f"{self.path}: nothing stored yet"
        try:
            stored = json.loads(self.path.read_text())
            rows = {workload_of(row): row for row in stored["rows"]}
            machine, source = stored["machine"], stored["source"]
        except (ValueError, KeyError, TypeError) as error:
            return f"{self.path}: cannot be read ({error!r}); all rows are measured anew"
        dropped = f"{self.path}: its {len(rows)} rows are dropped and measured anew, because they are from "
        if machine != self.machine:
            return f"{dropped}another machine or torch: {machine!r}, here {self.machine!r}"
        if source != self.source:
            return f"{dropped}other sources: {source}, now {self.source}"
        self.rows = rows
        return (
            f"{self.path}: {len(rows)} rows, measured before on this machine with these sources, "
            "are used again (--fresh measures anew)"
        )

    def put(self, row: Row) -> None:
        """Adds or replaces a row; the file is whole at any moment."""
        self.rows[workload_of(row)] = row
        content = json.dumps(self.results(), indent=1, ensure_ascii=False) + "\n"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path, content.encode())

    def results(self) -> dict[str, Any]:
        return {"machine": self.machine, "source": self.source, "rows": list(self.rows.values())}


def workload_of(row: Row) -> Workload:
    return Workload(row["name"], row["config"], row["size"], row["styles"])
