"""The conditional convolution against hand-counted cases, the equation, and numerical gradients."""

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ccfpse import ops
from ccfpse.ops import _taps, predicted

BACKENDS = ["reference", "taps"]


def by_loops(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """The equation as nested loops, written without any torch operator but indexing."""
    n, c, h, w = x.shape
    y = torch.zeros_like(x)
    for b in range(n):
        kernel = weight[b if len(weight) > 1 else 0]
        for ch in range(c):
            for i in range(h):
                for j in range(w):
                    for u in range(3):
                        for v in range(3):
                            if 0 <= i + u - 1 < h and 0 <= j + v - 1 < w:
                                tap = kernel[ch * 9 + 3 * u + v, i, j]
                                y[b, ch, i, j] += x[b, ch, i + u - 1, j + v - 1] * tap
    return y


@pytest.mark.parametrize("backend", BACKENDS)
def test_hand_counted(backend: str) -> None:
    x = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    weight = torch.zeros(1, 9, 2, 2)
    weight[0, 4] = 10.0  # the centre everywhere
    weight[0, 3, 0, 1] = 1.0  # at (0, 1) also the left neighbour, which is 1
    weight[0, 8, 0, 0] = 1.0  # at (0, 0) also the lower right one, which is 4
    weight[0, 0, 0, 0] = 99.0  # above left of (0, 0) is padding
    expected = torch.tensor([[[[14.0, 21.0], [30.0, 40.0]]]])
    assert torch.equal(ops.cond_conv(x, weight, backend=backend), expected)


@pytest.mark.parametrize("backend", BACKENDS)
@settings(deadline=None, max_examples=20)
@given(
    n=st.integers(1, 3), c=st.integers(1, 3), h=st.integers(1, 5), w=st.integers(1, 5), shared=st.booleans()
)
def test_equals_the_equation_at_any_size(backend: str, n: int, c: int, h: int, w: int, shared: bool) -> None:
    x = torch.randn(n, c, h, w, dtype=torch.float64)
    weight = torch.randn(1 if shared else n, 9 * c, h, w, dtype=torch.float64)
    torch.testing.assert_close(ops.cond_conv(x, weight, backend=backend), by_loops(x, weight))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("size", [(1, 1), (1, 4), (3, 2)])
def test_gradients(backend: str, shared: bool, size: tuple[int, int]) -> None:
    x = torch.randn(2, 2, *size, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(1 if shared else 2, 18, *size, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a, b: ops.cond_conv(a, b, backend=backend), (x, weight))


def test_non_contiguous_input_and_gradient() -> None:
    x = torch.randn(2, 5, 7, 3).permute(0, 3, 1, 2).requires_grad_()
    weight = torch.randn(2, 5, 7, 27).permute(0, 3, 1, 2).requires_grad_()
    grad = torch.randn(2, 5, 7, 3).permute(0, 3, 1, 2)
    found = torch.autograd.grad(ops.cond_conv(x, weight), (x, weight), grad)
    expected = torch.autograd.grad(ops.cond_conv(x, weight, backend="reference"), (x, weight), grad)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b)


def test_bfloat16_accumulates_in_float32() -> None:
    x = torch.ones(1, 1, 3, 3, dtype=torch.bfloat16)
    weight = torch.full((1, 9, 3, 3), 1 / 256, dtype=torch.bfloat16)
    weight[:, 0] = 1.0  # 1 + 8/256: added one by one in bfloat16 the small terms would be lost
    centre = ops.cond_conv(x, weight)[0, 0, 1, 1]
    assert centre.dtype == torch.bfloat16
    assert centre.item() == 1.03125


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("with_bias", [False, True])
def test_predicted_in_strips(monkeypatch: pytest.MonkeyPatch, k: int, shared: bool, with_bias: bool) -> None:
    monkeypatch.setitem(predicted.STRIP_BYTES, "cpu", 2 * 18 * 3 * 8 * 2)  # two rows a strip, or four
    x = torch.randn(2, 2, 7, 3, dtype=torch.float64, requires_grad=True)
    hidden = torch.randn(1 if shared else 2, 2, 7, 3, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(18, 2, k, k, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(18, dtype=torch.float64, requires_grad=True) if with_bias else None
    assert len(predicted.strips(hidden, weight)) > 1
    kernels = torch.nn.functional.conv2d(hidden, weight, bias, padding=k // 2)
    torch.testing.assert_close(ops.predicted_cond_conv(x, hidden, weight, bias), by_loops(x, kernels))
    inputs = (x, hidden, weight) if bias is None else (x, hidden, weight, bias)
    for keep in (False, True):
        convolve = partial(ops.predicted_cond_conv, keep_kernels=keep)
        assert torch.autograd.gradcheck(convolve, inputs)
        torch.library.opcheck(predicted.predicted_cond_conv, (x, hidden, weight, bias, keep, False))


@pytest.mark.parametrize("k", [1, 3])
def test_predictors_in_channels_last_memory_learn(k: int) -> None:
    x, hidden = torch.randn(2, 2, 4, 3), torch.randn(2, 4, 4, 3)
    weight = torch.randn(18, 4, k, k)
    gradients = []
    for memory_format in (torch.contiguous_format, torch.channels_last):
        inputs = [t.clone(memory_format=memory_format).requires_grad_() for t in (x, hidden, weight)]
        gradients.append(torch.autograd.grad(ops.predicted_cond_conv(*inputs).sum(), inputs))
    for plain, channels_last in zip(*gradients, strict=True):
        assert plain.abs().max() > 0
        torch.testing.assert_close(channels_last, plain)


@pytest.mark.parametrize("pull_back", ["_by_products", "_by_convolution"])
def test_bfloat16_gradients_of_many_strips_are_added_in_float32(
    monkeypatch: pytest.MonkeyPatch, pull_back: str
) -> None:
    monkeypatch.setattr(predicted, "_by_products", getattr(predicted, pull_back))  # a GPU's on a CPU, too
    monkeypatch.setitem(predicted.STRIP_BYTES, "cpu", 1)
    x, hidden = (torch.ones(1, 1, 400, 1, dtype=torch.bfloat16) for _ in range(2))
    weight = torch.ones(9, 1, 1, 1, dtype=torch.bfloat16, requires_grad=True)
    bias = torch.zeros(9, dtype=torch.bfloat16, requires_grad=True)
    assert len(predicted.strips(hidden, weight)) >= 200
    gradients = torch.autograd.grad(ops.predicted_cond_conv(x, hidden, weight, bias).sum(), (weight, bias))
    for gradient in gradients:  # one by one in bfloat16 they would stop at 256
        assert gradient.dtype == torch.bfloat16
        assert gradient.flatten()[4].item() == 400


def test_operators_pass_opcheck() -> None:
    x = torch.randn(2, 2, 3, 4, requires_grad=True)
    torch.library.opcheck(_taps.cond_conv, (x, torch.randn(1, 18, 3, 4, requires_grad=True)))


def test_double_backward_is_refused() -> None:
    x = torch.randn(1, 1, 3, 3, requires_grad=True)
    weight = torch.randn(1, 9, 3, 3, requires_grad=True)
    (grad,) = torch.autograd.grad(ops.cond_conv(x, weight).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="no autograd formula"):
        torch.autograd.grad(grad.sum(), weight)


@pytest.mark.parametrize("keep", [False, True])
def test_predicted_saves_kernels_only_when_asked(keep: bool) -> None:
    saved: list[torch.Tensor] = []
    x = torch.randn(1, 8, 16, 16, requires_grad=True)
    hidden = torch.randn(1, 4, 16, 16, requires_grad=True)
    weight = torch.randn(72, 4, 3, 3, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        ops.predicted_cond_conv(x, hidden, weight, keep_kernels=keep)
    assert {t.data_ptr() for t in (x, hidden, weight)} <= {t.data_ptr() for t in saved}
    extra = sum(t.numel() for t in saved) - sum(t.numel() for t in (x, hidden, weight))
    assert extra == (72 * 16 * 16 if keep else 0)


@pytest.mark.parametrize(
    ("x", "weight", "message"),
    [
        ((2, 3, 4), (2, 27, 4, 4), "x has shape"),
        ((2, 3, 4, 0), (2, 27, 4, 0), "x has shape"),
        ((2, 3, 4, 4), (2, 9, 4, 4), r"weight has shape \(2, 9, 4, 4\)"),
        ((2, 3, 4, 4), (3, 27, 4, 4), "2 or 1"),
        ((2, 3, 4, 4), (2, 27, 4, 5), "weight has shape"),
        ((2, 3, 4, 4), (2, 27, 4), "weight has shape"),
    ],
)
def test_wrong_shapes_are_named(x: tuple[int, ...], weight: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ops.cond_conv(torch.zeros(x), torch.zeros(weight))


def test_wrong_dtypes_and_backends_are_named() -> None:
    x, weight = torch.zeros(1, 1, 2, 2), torch.zeros(1, 9, 2, 2)
    with pytest.raises(ValueError, match=r"weight is torch\.float64"):
        ops.cond_conv(x, weight.double())
    with pytest.raises(ValueError, match="floating point"):
        ops.cond_conv(x.long(), weight.long())
    with pytest.raises(ValueError, match="choose one of auto"):
        ops.cond_conv(x, weight, backend="fast")
    with pytest.raises(ValueError, match="cannot run here"):
        ops.cond_conv(x, weight, backend="triton")


@pytest.mark.parametrize(
    ("hidden", "weight", "bias", "message"),
    [
        ((1, 4, 5, 4), (27, 4, 3, 3), (27,), "hidden has shape"),
        ((3, 4, 4, 4), (27, 4, 3, 3), (27,), "hidden has shape"),
        ((1, 4, 4, 4), (18, 4, 3, 3), (18,), "weight has shape"),
        ((1, 4, 4, 4), (27, 4, 5, 5), (27,), "k = 1 or 3"),
        ((1, 4, 4, 4), (27, 4, 3, 3), (9,), "bias has shape"),
    ],
)
def test_wrong_shapes_of_the_predicted_form(
    hidden: tuple[int, ...], weight: tuple[int, ...], bias: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ops.predicted_cond_conv(
            torch.zeros(2, 3, 4, 4), torch.zeros(hidden), torch.zeros(weight), torch.zeros(bias)
        )


@pytest.mark.parametrize("k", [1, 3])
def test_a_strips_gradients_by_products_and_by_convolution(k: int) -> None:
    torch.manual_seed(0)
    rows, weight = torch.randn(2, 3, 4 + 2 * (k // 2), 5), torch.randn(18, 3, k, k)
    grad = torch.randn(2, 18, 4, 5)
    sums, to_rows = [torch.ones_like(weight) for _ in range(2)], []
    for pull_back, total in zip((predicted._by_products, predicted._by_convolution), sums, strict=True):
        to_rows.append(pull_back(grad, rows, weight, total))
    torch.testing.assert_close(*to_rows)
    torch.testing.assert_close(*sums)
