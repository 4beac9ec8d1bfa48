"""Beginning with the weights of a trained model: a run on other photos, or a longer one."""

from ccfpse.checkpoint import Model
from ccfpse.labels import LabelSpace
from ccfpse.model_files import find_model
from ccfpse.training.steps import Networks


def inherit(networks: Networks, source: str, space: LabelSpace) -> tuple[str, int]:
    """Gives generator and encoder what a model has under the same names and in the same shapes.

    The model's weights are its averages. A model file holds no discriminator: that one begins anew, and
    `optimiser.warmup` keeps it from spoiling the generator before it has learnt.

    Args:
        source: bundled model, model file or run folder.
        space: the label space trained on.

    Returns:
        What was taken and what was not, in a sentence; the images that the model has seen.

    Raises:
        ValueError: naming the model, where it is none or no tensor of it fits.
    """
    path = find_model(source)
    model = Model.load(path)
    pairs = {"generator": (model.generator, networks.generator), "encoder": (model.encoder, networks.encoder)}
    taken = whole = 0
    left: list[str] = []
    for name, (trained, fresh) in pairs.items():
        if fresh is None:
            continue
        held, own = {} if trained is None else trained.state_dict(), fresh.state_dict()
        fitting = {k: held[k] for k, v in own.items() if k in held and held[k].shape == v.shape}
        fresh.load_state_dict(fitting, strict=False)
        taken += sum(value.numel() for value in fitting.values() if value.ndim > 1)
        whole += sum(value.numel() for value in own.values() if value.ndim > 1)
        left += [f"{name}.{key}" for key in own if key not in fitting]
    if not taken:
        raise ValueError(
            f"{path}: none of its weights has the name and shape of one of this run's; give the fields that "
            "it was trained with (its preset), or train without start_from"
        )
    note = f"beginning with {path}: {100 * taken / whole:.0f} % of the weights"
    if left:
        note += f"; anew, as it has none of their shape: {', '.join(left[:3])}{', …' * (len(left) > 3)}"
    if model.label_space.names != space.names:
        note += "; its classes have other names or another order"
    return note, model.images
