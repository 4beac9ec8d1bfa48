"""Beginning with the weights of a trained model: a run on other photos, or a longer one."""

from ccfpse.checkpoint import Model
from ccfpse.labels import LabelSpace
from ccfpse.model_files import find_model
from ccfpse.training.steps import Networks


def inherit(networks: Networks, source: str, space: LabelSpace) -> tuple[str, int]:
    """Gives the networks what a model has under the same names and in the same shapes.

    The generator's and encoder's weights are averages. A packed model may have no discriminator: that one
    begins anew, and `optimiser.warmup` keeps it from spoiling the generator before it has learnt.

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
    trained = {
        "generator": model.generator.state_dict(),
        "encoder": {} if model.encoder is None else model.encoder.state_dict(),
        "discriminator": model.discriminator,
    }
    taken = whole = 0
    left: list[str] = []
    for name, fresh in networks.named.items():
        if name == "discriminator" and not model.discriminator:
            continue
        held, own = trained[name], fresh.state_dict()
        fitting = {k: held[k] for k, v in own.items() if k in held and held[k].shape == v.shape}
        fresh.load_state_dict(fitting, strict=False)
        if name == "generator" and not any(value.ndim > 1 for value in fitting.values()):
            raise ValueError(
                f"{path}: none of its weights has the name and shape of one of this run's; give the fields "
                "that it was trained with (its preset), or train without start_from"
            )
        taken += sum(value.numel() for value in fitting.values() if value.ndim > 1)
        whole += sum(value.numel() for value in own.values() if value.ndim > 1)
        left += [f"{name}.{key}" for key in own if key not in fitting]
    note = f"beginning with {path}: {100 * taken / whole:.0f} % of the weights"
    if not model.discriminator:
        note += " and a fresh discriminator, as it holds none"
    if left:
        note += f"; anew, as it has none of their shape: {', '.join(left[:3])}{', …' * (len(left) > 3)}"
    if model.label_space.names != space.names:
        note += "; its classes have other names or another order"
    return note, model.images
