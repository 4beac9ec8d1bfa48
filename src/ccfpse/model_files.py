"""Where models are: bundled ones by name, files, and runs' folders (no torch)."""

from importlib.resources import files
from pathlib import Path

BUNDLED = files("ccfpse") / "bundled"


def bundled_models() -> list[str]:
    """Names that stand for a model without a file."""
    return sorted(Path(str(entry)).stem for entry in BUNDLED.iterdir() if entry.name.endswith(".safetensors"))


def find_model(source: str | Path) -> Path:
    """The file of a bundled model's name, a model file, or a run's folder; ValueError where there is none."""
    names = bundled_models()
    path = Path(source)
    if str(source) in names:
        path = Path(str(BUNDLED / f"{source}.safetensors"))
    elif path.is_dir():
        path = path / "model.safetensors"
    if not path.is_file():
        raise ValueError(
            f"{source}: no such model; give a .safetensors file, a run's folder, or a bundled model "
            f"({', '.join(names) or 'none is bundled'})"
        )
    return path
