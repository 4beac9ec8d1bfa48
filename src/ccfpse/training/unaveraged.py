"""The weights that a run trains, before they are averaged; the paper's protocol evaluates them."""

from pathlib import Path

from ccfpse.checkpoint import Model, load_strictly, load_tensors
from ccfpse.training.report import RunFolder
from ccfpse.training.state import FORMAT


def load_unaveraged(run: Path) -> Model:
    """The model of a run's folder with the trained weights in the averages' place.

    Raises ValueError, naming the file, where the run's state is absent or does not fit its model.
    """
    folder = RunFolder(run)
    model = Model.load(folder.model)
    tensors, content = load_tensors(folder.state)
    if content.get("format") != FORMAT:
        raise ValueError(
            f"{folder.state}: not the state of a run (format {content.get('format')!r}, expected {FORMAT!r})"
        )
    for name, network in (("generator", model.generator), ("encoder", model.encoder)):
        if network is not None:
            prefix = f"network.{name}."
            own = {key.removeprefix(prefix): t for key, t in tensors.items() if key.startswith(prefix)}
            load_strictly(network, own, f"{folder.state}: {name}")
    model.info |= {"images": content["images"], "averaged": False}
    return model
