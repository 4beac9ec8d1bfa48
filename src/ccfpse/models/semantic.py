"""The semantic map: what every network here is told about the layout."""

import torch


def semantic_map(
    labels: torch.Tensor,
    classes: int,
    *,
    unknown: bool,
    instances: torch.Tensor | None = None,
    ignore: int | None = 255,
    dtype: torch.dtype = torch.float32,
) -> torch.Tensor:
    """One-hot classes, then the unknown channel if any, then instance edges if instances are given.

    Args:
        labels: N×H×W integer ids in [0, classes). Pixels equal to `ignore` (where that is no class) or to
            `classes` are unlabelled: they go to the unknown channel, or stay all zero where the label space
            has none.
        classes: number of classes.
        unknown: whether the label space has the unknown channel.
        instances: N×H×W integer instance ids.
        ignore: the files' id for unlabelled pixels.

    Returns:
        N×S×H×W, S = classes + unknown + (instances given).

    Raises:
        ValueError: for other shapes, non-integer labels, or ids outside the label space (naming them).
    """
    if labels.ndim != 3 or labels.is_floating_point():
        raise ValueError(f"labels are {labels.dtype} of shape {tuple(labels.shape)}, expected integers N×H×W")
    labels = labels.long()
    if ignore is not None and not 0 <= ignore < classes:
        labels = labels.where(labels != ignore, classes)
    if int(labels.min()) < 0 or int(labels.max()) > classes:
        wrong = [i for i in labels.unique().tolist() if not 0 <= i <= classes]
        raise ValueError(
            f"labels hold ids {wrong[:5]}, but there are {classes} classes (0 to {classes - 1}) and {ignore} "
            "for unlabelled; add classes or remap the labels"
        )
    n, h, w = labels.shape
    one_hot = torch.zeros((n, classes + 1, h, w), dtype=dtype, device=labels.device)
    one_hot.scatter_(1, labels.unsqueeze(1), 1.0)
    channels = [one_hot if unknown else one_hot[:, :classes]]
    if instances is not None:
        channels.append(instance_edges(instances).unsqueeze(1).to(dtype))
    return torch.cat(channels, dim=1)


def instance_edges(instances: torch.Tensor) -> torch.Tensor:
    """N×H×W ids -> N×H×W bool: whether any of the 4 neighbours has another id; the border makes no edge."""
    if instances.ndim != 3 or instances.is_floating_point():
        raise ValueError(
            f"instances are {instances.dtype} of shape {tuple(instances.shape)}, expected integers N×H×W"
        )
    edges = torch.zeros_like(instances, dtype=torch.bool)
    across = instances[:, :, 1:] != instances[:, :, :-1]
    down = instances[:, 1:] != instances[:, :-1]
    edges[:, :, 1:] |= across
    edges[:, :, :-1] |= across
    edges[:, 1:] |= down
    edges[:, :-1] |= down
    return edges
