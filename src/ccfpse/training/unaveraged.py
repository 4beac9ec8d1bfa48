"""The weights that a run trains, before they are averaged; the paper's protocol evaluates them."""

import tempfile
from pathlib import Path

from ccfpse.checkpoint import Model, below, load_strictly
from ccfpse.evaluation import ModelImages
from ccfpse.training.report import RunFolder
from ccfpse.training.state import read_state


def load_unaveraged(run: Path) -> Model:
    """The model of a run's folder with the trained weights in the averages' place.

    Raises ValueError, naming the file, where the run's state is absent or does not fit its model.
    """
    folder = RunFolder(run)
    model = Model.load(folder.model)
    tensors, content = read_state(folder.state)
    for name, network in (("generator", model.generator), ("encoder", model.encoder)):
        if network is not None:
            load_strictly(network, below(tensors, f"network.{name}."), f"{folder.state}: {name}")
    model.info |= {"images": content["images"], "averaged": False}
    return model


def load_images(
    model: str | Path, unaveraged: bool, device: str = "auto", dtype: str = "auto"
) -> ModelImages:
    """The images of a model; of a run's folder, on demand, by the weights that are not averaged."""
    if not (unaveraged and Path(model).is_dir()):
        return ModelImages.load(model, device=device, dtype=dtype)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{Path(model).resolve().name}-unaveraged.safetensors"
        load_unaveraged(Path(model)).save(file)
        return ModelImages.load(file, device=device, dtype=dtype)
