"""A 3×3 convolution of one-hot labels and features that never multiplies by the zeros.

A convolution of a one-hot map adds, for each of the nine neighbours, one column of its weight: the column of
the neighbour's class. So a pixel's output is the sum of nine rows of a table, and the gradient of a row is
the sum over the pixels that read it. An edge channel of zeros and ones doubles the table instead of asking
for a convolution: row (tap, edge, label). Beyond the image, and for pixels without a label, the row is zero.
"""

import torch
import torch.nn.functional as F


def label_codes(labels: torch.Tensor, edges: torch.Tensor | None, channels: int) -> torch.Tensor:
    """What each pixel reads, with a border of one pixel that means "beyond the image".

    Args:
        labels: N×H×W in [0, channels]; `channels` is no label at all.
        edges: N×H×W bool, or None where the map has no edge channel.
        channels: number of label channels.

    Returns:
        N×(H+2)×(W+2) int32.
    """
    codes = labels if edges is None else labels + (channels + 1) * edges
    beyond = (channels + 1) * (1 if edges is None else 2)
    return F.pad(codes.int(), (1, 1, 1, 1), value=beyond)


def label_rows(weight: torch.Tensor, channels: int) -> torch.Tensor:
    """The table, 9·(codes + 1) × out, of a weight out×S×3×3: S is `channels` and perhaps one for edges."""
    by_tap = weight.permute(2, 3, 1, 0).flatten(0, 1)  # 9×S×out
    rows = F.pad(by_tap[:, :channels], (0, 0, 0, 1))
    if weight.shape[1] > channels:
        rows = torch.cat([rows, rows + by_tap[:, channels:]], dim=1)
    return F.pad(rows, (0, 0, 0, 1)).flatten(0, 1)


def look_up(rows: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
    """Codes with their border, N×(H+2)×(W+2), -> N×out×H×W in channels_last memory."""
    n, height, width = len(codes), codes.shape[1] - 2, codes.shape[2] - 2
    sums = F.embedding_bag(_indices(rows, codes), rows, mode="sum")
    return sums.view(n, height, width, -1).permute(0, 3, 1, 2)


def _indices(rows: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
    """N·H·W×9 rows of the table."""
    height, width = codes.shape[1] - 2, codes.shape[2] - 2
    taps = [codes[:, u : u + height, v : v + width] for u in range(3) for v in range(3)]
    first = torch.arange(9, dtype=torch.int32, device=codes.device) * (len(rows) // 9)
    return torch.stack(taps, dim=3).view(-1, 9) + first


@torch.library.custom_op("ccfpse::label_conv", mutates_args=())
def label_conv(
    codes: torch.Tensor,
    features: torch.Tensor | None,
    weight: torch.Tensor,
    bias: torch.Tensor,
    channels: int,
) -> torch.Tensor:
    """conv3×3(one-hot map, then features; weight, bias), zero padding 1.

    Args:
        codes: N×(H+2)×(W+2) by `label_codes`.
        features: N×F×H×W or None.
        weight: out×(S+F)×3×3, float32 or float64; S is `channels` labels and perhaps an edge channel.
        bias: out.
        channels: number of label channels.

    Returns:
        N×out×H×W, differentiable once with respect to features, weight and bias.
    """
    semantic, rest = _parts(weight, features)
    looked_up = look_up(label_rows(semantic, channels), codes)
    if features is None:
        return looked_up.add_(bias.view(-1, 1, 1)).contiguous()
    return F.conv2d(features, rest, bias, padding=1).add_(looked_up)


@label_conv.register_fake
def _(
    codes: torch.Tensor,
    features: torch.Tensor | None,
    weight: torch.Tensor,
    bias: torch.Tensor,
    channels: int,
) -> torch.Tensor:
    return weight.new_empty((len(codes), len(weight), codes.shape[1] - 2, codes.shape[2] - 2))


def _parts(weight: torch.Tensor, features: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    """The weights of the semantic map and those of the features."""
    count = 0 if features is None else features.shape[1]
    semantic, rest = weight.split([weight.shape[1] - count, count], dim=1)
    return semantic, rest


@torch.library.custom_op("ccfpse::label_conv_backward", mutates_args=())
def _backward_op(
    grad: torch.Tensor,
    codes: torch.Tensor,
    features: torch.Tensor | None,
    weight: torch.Tensor,
    channels: int,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    semantic, rest = _parts(weight, features)
    to_weight = [_semantic_gradient(grad, codes, semantic, channels)]
    if features is None:
        return grad.new_empty(0), to_weight[0], grad.sum((0, 2, 3))
    to_features, to_rest, to_bias = torch.ops.aten.convolution_backward(
        grad, features, rest, [len(rest)], [1, 1], [1, 1], [1, 1], False, [0, 0], 1, [True] * 3
    )
    return to_features, torch.cat([*to_weight, to_rest], dim=1), to_bias


def _semantic_gradient(
    grad: torch.Tensor, codes: torch.Tensor, weight: torch.Tensor, channels: int
) -> torch.Tensor:
    """out×S×3×3: each row of the table gets the sum over the pixels that read it."""
    rows = label_rows(weight, channels)
    indices = _indices(rows, codes)
    offsets = torch.arange(0, indices.numel(), 9, dtype=indices.dtype, device=indices.device)
    bags = offsets.new_full((len(indices),), 9)
    owners = torch.arange(len(indices), dtype=indices.dtype, device=indices.device).repeat_interleave(9)
    by_row = torch.ops.aten._embedding_bag_dense_backward(
        grad.permute(0, 2, 3, 1).reshape(len(indices), -1),
        indices.view(-1),
        owners,
        bags,
        offsets.new_empty(0),
        len(rows),
        False,  # not by frequency
        0,  # sum
        None,
    )
    by_code = by_row.view(9, -1, len(weight))[:, :-1]  # nothing is learned of what lies beyond the image
    by_edge = by_code.view(9, -1, channels + 1, len(weight))
    parts = [by_edge.sum(1)[:, :-1]]
    if weight.shape[1] > channels:
        parts.append(by_edge[:, 1].sum(1, keepdim=True))
    return torch.cat(parts, dim=1).view(3, 3, -1, len(weight)).permute(3, 2, 0, 1)


@_backward_op.register_fake
def _(
    grad: torch.Tensor,
    codes: torch.Tensor,
    features: torch.Tensor | None,
    weight: torch.Tensor,
    channels: int,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    to_features = grad.new_empty(0) if features is None else torch.empty_like(features)
    return to_features, torch.empty_like(weight), weight.new_empty(len(weight))


def _setup_context(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]
    codes, features, weight, _, ctx.channels = inputs
    ctx.has_features = features is not None
    ctx.save_for_backward(codes, weight, *([features] if ctx.has_features else []))


def _backward(ctx, grad):  # type: ignore[no-untyped-def]
    codes, weight, *features = ctx.saved_tensors
    to_features, to_weight, to_bias = _backward_op(
        grad.contiguous(), codes, features[0] if features else None, weight, ctx.channels
    )
    return None, to_features if features else None, to_weight, to_bias, None


label_conv.register_autograd(_backward, setup_context=_setup_context)
