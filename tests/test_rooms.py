"""Who may import whom: the table of docs/architecture.md, held."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1] / "src" / "ccfpse"
ALLOWED = {
    "settings": set(),
    "ops": set(),
    "labels": set(),
    "tensor_files": set(),
    "features": {"tensor_files"},
    "pictures": set(),
    "model_files": set(),
    "models": {"ops", "settings"},
    "losses": {"features"},
    "data": {"labels", "pictures"},
    "metrics": {"features", "labels", "pictures"},
    "checkpoint": {"models", "labels", "tensor_files"},
    "inference": {"models", "ops"},
    "engine": {"inference", "models", "checkpoint", "model_files", "labels", "pictures"},
    "generate": {"engine", "data", "pictures"},
    "evaluation": {"engine", "data", "metrics", "features", "labels", "model_files"},
    "demo": {"engine", "data", "labels", "model_files", "pictures"},
    "training": {
        "models",
        "losses",
        "features",
        "data",
        "metrics",
        "evaluation",
        "checkpoint",
        "labels",
        "model_files",
        "pictures",
        "settings",
    },
    "presets": {"settings", "training", "models", "data", "labels"},
    "compare": {
        "settings",
        "presets",
        "training",
        "evaluation",
        "engine",
        "checkpoint",
        "metrics",
        "data",
        "models",
        "features",
        "labels",
        "pictures",
    },
    "server": {"engine", "labels", "model_files", "pictures"},
    "legacy": {"models", "checkpoint", "labels", "tensor_files"},
}


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ccfpse"):
            parts = (node.module or "").split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("ccfpse.")}
    return found


@pytest.mark.parametrize("room", ALLOWED)
def test_a_room_imports_what_it_may(room: str) -> None:
    files = [ROOT / f"{room}.py"] if (ROOT / f"{room}.py").exists() else list((ROOT / room).rglob("*.py"))
    assert files
    for file in files:
        assert imports(file) - {room, "__version__"} <= ALLOWED[room], file


def test_server_and_labels_do_not_know_torch() -> None:
    for file in [
        ROOT / "labels.py",
        ROOT / "model_files.py",
        *(ROOT / "server").rglob("*.py"),
        *(ROOT / "data").rglob("*.py"),
    ]:
        assert "import torch" not in file.read_text(), file
