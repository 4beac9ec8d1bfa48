"""The Triton kernels against the reference: interpreted and compiled for an H100 anywhere, run on a GPU.

Triton decides between interpreter and compiler when it is first imported. So this file is also a program: a
child process runs every check of one kind and reports the error texts, which the tests look up by name.
"""

import json
import os
import re
import subprocess
import sys
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from ccfpse.ops import _reference, _triton, cond_conv, predicted, predicted_cond_conv

TRITON_WAS_LAZY = "triton" not in sys.modules
ROUNDING = {torch.float32: 1e-6, torch.bfloat16: 2**-8, torch.float16: 2**-11}  # of the result, once
SHAPES = [(1, 1, 1, 1), (1, 1, 1, 5), (1, 3, 3, 2), (2, 3, 5, 7), (1, 1, 1, 300), (1, 40, 1, 7)]
GPU_SHAPES = [*SHAPES, (2, 64, 33, 65), (3, 128, 16, 16), (1, 5, 17, 1030), (1, 600, 2, 8), (4, 8, 64, 64)]


def random(*shape: int, dtype: torch.dtype = torch.float32, device: str = "cpu") -> torch.Tensor:
    return torch.randn(shape).to(device, dtype)


def reference(x: torch.Tensor, weight: torch.Tensor, grad: torch.Tensor) -> list[torch.Tensor]:
    """y and the gradients of x and weight, in float64 on the CPU."""
    x, weight = (t.detach().cpu().double().requires_grad_() for t in (x, weight))
    y = _reference.cond_conv(x, weight)
    return [y.detach(), *torch.autograd.grad(y, (x, weight), grad.cpu().double())]


def assert_equal(actual: list[torch.Tensor], expected: list[torch.Tensor], dtype: torch.dtype) -> None:
    for result, truth in zip(actual, expected, strict=True):
        assert result.dtype == dtype
        # The interpreter truncates to bfloat16, a GPU rounds.
        truncated = dtype == torch.bfloat16 and not result.is_cuda
        rtol = ROUNDING[dtype] * (2 if truncated else 1)
        torch.testing.assert_close(result.cpu().double(), truth, rtol=rtol, atol=2e-5)


def laid_out(x: torch.Tensor, weight: torch.Tensor, layout: str) -> tuple[torch.Tensor, torch.Tensor]:
    """The same values in other memory: channels_last, tap-major channels_last, or every second column."""
    if layout == "channels_last":
        return x.to(memory_format=torch.channels_last), weight.to(memory_format=torch.channels_last)
    if layout == "tap_major":
        taps = weight.unflatten(1, (x.shape[1], 9)).permute(0, 3, 4, 2, 1).contiguous()
        return x.to(memory_format=torch.channels_last), taps.permute(0, 4, 3, 1, 2)
    if layout == "strided":
        return x.repeat_interleave(2, dim=3)[..., ::2], weight.repeat_interleave(2, dim=3)[..., ::2]
    return x, weight


def check_reference(
    device: str, shape: tuple[int, int, int, int], shared: bool, dtype: torch.dtype, layout: str
) -> None:
    n, c, h, w = shape
    x = random(*shape, dtype=dtype, device=device)
    weight = random(1 if shared else n, 9 * c, h, w, dtype=dtype, device=device)
    grad = random(*shape, dtype=dtype, device=device)
    arguments = [t.requires_grad_() for t in laid_out(x, weight, layout)]
    y = _triton.cond_conv_triton(*arguments)
    grad_x, grad_weight = torch.autograd.grad(y, arguments, grad)
    assert grad_weight.shape == arguments[1].shape
    assert_equal([y, grad_x, grad_weight.reshape(weight.shape)], reference(x, weight, grad), dtype)


def check_ones(device: str) -> None:
    """With ones for x and kernels, every output counts the neighbours inside the image."""
    y = cond_conv(
        torch.ones(1, 1, 3, 4, device=device), torch.ones(1, 9, 3, 4, device=device), backend="triton"
    )
    assert y[0, 0].tolist() == [[4, 6, 6, 4], [6, 9, 9, 6], [4, 6, 6, 4]]


def check_strips(device: str, dtype: torch.dtype = torch.float32) -> None:
    """Strips of kernels, written to and added into tensors for the whole image, give what one call gives."""
    x, weight, grad = (random(2, c, 6, 3, dtype=dtype, device=device) for c in (2, 18, 2))
    y, grad_x = torch.empty_like(x), torch.zeros(x.shape, device=device)
    grad_weight = []
    for top, bottom in ((0, 1), (1, 5), (5, 6)):
        rows = slice(top, bottom)
        _triton.apply(x, weight[:, :, rows], top, out=y[:, :, rows])
        _triton.grad_x(grad[:, :, rows], weight[:, :, rows], 6, top, add_to=grad_x)
        grad_weight.append(_triton.grad_weight(grad[:, :, rows], x, weight[:, :, rows], top))
    expected = reference(x, weight, grad)
    assert_equal([y, torch.cat(grad_weight, dim=2)], [expected[0], expected[2]], dtype)
    assert_equal([grad_x], [expected[1]], torch.float32)


def check_predicted(device: str) -> None:
    """Predict and apply row by row, forward and backward, kernels kept or predicted again."""
    whole, predicted.STRIP_BYTES = predicted.STRIP_BYTES, {"cpu": 1, "cuda": 1}
    try:
        for k, shared, keep in ((1, False, False), (3, True, False), (3, False, True)):
            x, hidden = random(2, 3, 5, 4), random(1 if shared else 2, 2, 5, 4)
            weight, bias, grad = random(27, 2, k, k), random(27), random(2, 3, 5, 4)
            assert len(predicted.strips(hidden, weight)) > 1
            inputs = [t.to(device).requires_grad_() for t in (x, hidden, weight, bias)]
            y = predicted_cond_conv(*inputs, backend="triton", keep_kernels=keep)
            found = [y, *torch.autograd.grad(y, inputs, grad.to(device))]
            exact = [t.detach().double().requires_grad_() for t in (x, hidden, weight, bias)]
            y = predicted_cond_conv(*exact, backend="reference")
            for one, truth in zip(found, [y, *torch.autograd.grad(y, exact, grad.double())], strict=True):
                # A GPU's convolutions may be TF32.
                tolerance = 1e-5 if device == "cpu" else 1e-2
                torch.testing.assert_close(one.cpu().double(), truth, rtol=tolerance, atol=10 * tolerance)
    finally:
        predicted.STRIP_BYTES = whole


def check_strip_autograd(device: str) -> None:
    x, weight, grad = (random(1, c, 5, 2, device=device) for c in (1, 9, 1))
    arguments = [x.requires_grad_(), weight.requires_grad_()]
    y = torch.cat([_triton.cond_conv_triton(x, weight[:, :, a : a + b], a) for a, b in ((0, 2), (2, 3))], 2)
    assert_equal([y, *torch.autograd.grad(y, arguments, grad)], reference(x, weight, grad), torch.float32)


def check_expanded_gradient(device: str) -> None:
    """sum().backward() sends a gradient whose strides are all zero; expanded kernels have such a stride."""
    x = random(2, 1, 2, 3, device=device).requires_grad_()
    weight = random(1, 9, 2, 3, device=device).requires_grad_()
    y = _triton.cond_conv_triton(x, weight.expand(2, -1, -1, -1))
    gradients = torch.autograd.grad(y.sum(), (x, weight))
    assert_equal([y, *gradients], reference(x, weight, torch.ones(2, 1, 2, 3)), torch.float32)


def check_far_apart(device: str) -> None:
    """Each dimension in turn, then the taps, reach 2**31 elements far (virtual memory, mostly untouched)."""
    storage = torch.empty(2**31 + 300, dtype=torch.float16, device=device)
    for dim in range(4):
        n, c, h, w = (5 if d == dim else 1 for d in range(4))
        strides = [2**29 if d == dim else 1 for d in range(4)]
        x, grad, y = (storage.as_strided((n, c, h, w), strides, offset) for offset in (0, 50, 100))
        weight = storage.as_strided((n, c, 9, h, w), [*strides[:2], 5, *strides[2:]], 150)
        x.copy_(random(n, c, h, w))
        grad.copy_(random(n, c, h, w))
        weight.copy_(random(n, c, 9, h, w))
        _triton.apply(x, weight, out=y)
        grad_weight = _triton.grad_weight(grad, x, weight).flatten(1, 2)
        expected = reference(x, weight.flatten(1, 2), grad)
        assert_equal([y, _triton.grad_x(grad, weight, h), grad_weight], expected, torch.float16)
    x, grad = (random(1, 1, 2, 2, dtype=torch.float16, device=device) for _ in range(2))
    weight = storage.as_strided((1, 1, 9, 2, 2), [1, 1, 2**28, 2, 1])
    weight.copy_(random(1, 1, 9, 2, 2))
    expected = reference(x, weight.flatten(1, 2), grad)
    assert_equal([_triton.apply(x, weight), _triton.grad_x(grad, weight, 2)], expected[:2], torch.float16)


def check_needed_gradients_only(device: str) -> None:
    """x alone does not save x; weight alone gives weight's gradient."""
    x, weight = random(1, 1, 2, 2, device=device), random(1, 9, 2, 2, device=device)
    expected = reference(x, weight, torch.ones(1, 1, 2, 2))
    saved: list[torch.Tensor] = []

    def save(tensor: torch.Tensor) -> torch.Tensor:
        saved.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(save, lambda tensor: tensor):
        y = _triton.cond_conv_triton(x.requires_grad_(), weight)
    assert [t.shape for t in saved] == [weight.shape]
    assert_equal([*torch.autograd.grad(y.sum(), x)], [expected[1]], torch.float32)
    y = _triton.cond_conv_triton(x.detach(), weight.requires_grad_())
    assert_equal([*torch.autograd.grad(y.sum(), weight)], [expected[2]], torch.float32)


def check_double_backward_is_refused(device: str) -> None:
    x, weight = (random(1, c, 2, 2, device=device).requires_grad_() for c in (1, 9))
    gradients = torch.autograd.grad(
        _triton.cond_conv_triton(x, weight).square().sum(), (x, weight), create_graph=True
    )
    for gradient in gradients:
        with pytest.raises(NotImplementedError, match="differentiable once"):
            gradient.sum().backward()


def check_opcheck(device: str) -> None:
    for c, memory_format in ((1, torch.contiguous_format), (2, torch.channels_last)):
        x, weight, grad = (
            random(1, k, 2, 3, device=device).to(memory_format=memory_format) for k in (c, 9 * c, c)
        )
        torch.library.opcheck(_triton._grad_x_op, (grad, weight, 2, 0))
        torch.library.opcheck(_triton._grad_weight_op, (grad, x, weight, 0))
        torch.library.opcheck(
            _triton.cond_conv_triton, (x.requires_grad_(), weight.detach().requires_grad_(), 0)
        )


def check_compiles_in_one_graph(device: str) -> None:
    x, weight, grad = (random(1, c, 2, 3, device=device) for c in (1, 9, 1))
    arguments = [x.requires_grad_(), weight.requires_grad_()]
    y = torch.compile(partial(cond_conv, backend="triton"), fullgraph=True, backend="aot_eager")(*arguments)
    assert_equal([y, *torch.autograd.grad(y, arguments, grad)], reference(x, weight, grad), torch.float32)


def check_triton_was_lazy(device: str) -> None:
    assert TRITON_WAS_LAZY, "importing ccfpse.ops imported triton"
    assert "triton" in sys.modules


def reference_checks(
    shapes: list[tuple[int, int, int, int]], dtypes: list[torch.dtype]
) -> dict[str, Callable[[str], None]]:
    checks: dict[str, Callable[[str], None]] = {}
    for shape in shapes:
        for shared in (False, True)[: 2 if shape[0] > 1 else 1]:
            for dtype in dtypes:
                name = f"{'x'.join(map(str, shape))}{'-shared' * shared}-{str(dtype)[6:]}"
                checks[name] = partial(
                    check_reference, shape=shape, shared=shared, dtype=dtype, layout="plain"
                )
    return checks


OTHERS: dict[str, Callable[[str], None]] = {
    **{
        f"{layout}-{str(dtype)[6:]}": partial(
            check_reference, shape=(2, 3, 2, 5), shared=dtype != torch.float32, dtype=dtype, layout=layout
        )
        for layout, dtype in (
            ("channels_last", torch.float32),
            ("tap_major", torch.bfloat16),
            ("strided", torch.float16),
        )
    },
    **{
        function.__name__.removeprefix("check_"): function
        for function in (
            check_ones,
            check_strips,
            check_predicted,
            check_strip_autograd,
            check_expanded_gradient,
            check_far_apart,
            check_needed_gradients_only,
            check_double_backward_is_refused,
            check_opcheck,
            check_compiles_in_one_graph,
        )
    },
}
INTERPRETED: dict[str, Callable[[str], None]] = {
    **reference_checks(SHAPES, [torch.float32]),
    **reference_checks(SHAPES[2:3], [torch.bfloat16, torch.float16]),
    **OTHERS,
    "triton_was_lazy": check_triton_was_lazy,
}
ON_GPU: dict[str, Callable[[str], None]] = {
    **reference_checks(GPU_SHAPES, list(ROUNDING)),
    **{
        f"large-{layout}": partial(
            check_reference, shape=(2, 96, 9, 50), shared=True, dtype=torch.bfloat16, layout=layout
        )
        for layout in ("channels_last", "tap_major", "strided")
    },
    "strips-bfloat16": partial(check_strips, dtype=torch.bfloat16),
    **OTHERS,
}


def check_compiled(device: str, kernel: str, layout: str) -> None:
    """Compiles what an H100 would run: taps move 8 bytes a thread, and nothing goes through shared memory."""
    from ccfpse.ops import _triton_kernels

    class CompileOnly:
        def __getitem__(self, grid: tuple[int, int, int]) -> Callable[..., None]:
            return partial(self.compile, grid=grid)

        def compile(self, *arguments: Any, **options: Any) -> None:
            self.compiled = original.warmup(*arguments, **options)

    original, catcher = getattr(_triton_kernels, kernel), CompileOnly()
    setattr(_triton_kernels, kernel, catcher)
    try:
        x, weight = laid_out(
            torch.empty(1, 32, 2, 64, dtype=torch.bfloat16),
            torch.empty(1, 288, 2, 64, dtype=torch.bfloat16),
            layout,
        )
        arguments = {"apply": (x, weight), "grad_x": (x, weight, 2), "grad_weight": (x, x, weight)}[kernel]
        getattr(_triton, kernel)(*arguments)
    finally:
        setattr(_triton_kernels, kernel, original)
    ptx = catcher.compiled.asm["ptx"]
    moves = re.findall(r"\b(ld|st)\.global\.v2\.b32", ptx)
    if kernel == "grad_weight":
        assert moves.count("st") == 9
    else:  # the gradient of x reads shifted taps; along columns only the middle ones are aligned
        assert moves.count("ld") >= (6 if (kernel, layout) == ("grad_x", "plain") else 9)
    assert ".shared" not in ptx
    assert ".local" not in ptx


COMPILED: dict[str, Callable[[str], None]] = {
    f"{kernel}-{layout}": partial(check_compiled, kernel=kernel, layout=layout)
    for kernel in ("apply", "grad_x", "grad_weight")
    for layout in ("plain", "tap_major")
}


def run_in_child(interpret: str, folder: Path) -> dict[str, str]:
    if not _triton.TRITON_INSTALLED:
        pytest.skip("triton is not installed")
    environment = {
        **os.environ,
        "TRITON_INTERPRET": interpret,
        "TRITON_CACHE_DIR": str(folder / "cache"),
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    report = folder / "report.json"
    child = subprocess.run(
        [sys.executable, __file__, str(report)], env=environment, capture_output=True, text=True
    )
    assert child.returncode == 0, child.stderr
    return json.loads(report.read_text())


@pytest.fixture(scope="module")
def interpreted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return run_in_child("1", tmp_path_factory.mktemp("interpreted"))


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return run_in_child("0", tmp_path_factory.mktemp("compiled"))


@pytest.mark.parametrize("name", INTERPRETED)
def test_in_the_interpreter(interpreted: dict[str, str], name: str) -> None:
    if interpreted[name] != "passed":
        pytest.fail(interpreted[name], pytrace=False)


@pytest.mark.parametrize("name", COMPILED)
def test_compiles_for_an_h100(compiled: dict[str, str], name: str) -> None:
    if compiled[name] != "passed":
        pytest.fail(compiled[name], pytrace=False)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", ON_GPU)
def test_on_the_gpu(name: str) -> None:
    ON_GPU[name]("cuda")


def test_reasons_for_being_unsupported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setattr(_triton, "TRITON_INSTALLED", True)
    x, weight = torch.zeros(1, 1, 2, 2), torch.zeros(1, 9, 2, 2)
    assert _triton.unsupported(x, weight) == "x is on cpu, and the Triton kernels need a CUDA device"
    assert "weight is torch.float64" in str(_triton.unsupported(x, weight.double()))
    assert "65535" in str(_triton.unsupported(x.expand(65536, -1, -1, -1), weight))
    with pytest.raises(ValueError, match="backend 'triton' cannot run here: x is on cpu"):
        cond_conv(x, weight, backend="triton")
    with pytest.raises(ValueError, match="backend 'triton' cannot run here: x is on cpu"):
        predicted_cond_conv(x, x, weight.new_zeros(9, 1, 1, 1), backend="triton")
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert _triton.unsupported(x, weight) is None
    assert "but weight is on meta" in str(_triton.unsupported(x, weight.to("meta")))
    monkeypatch.setattr(_triton, "TRITON_INSTALLED", False)
    assert "pip install triton" in str(_triton.unsupported(x, weight))


def main(report: Path) -> None:
    interpret = os.environ["TRITON_INTERPRET"] == "1"
    checks = INTERPRETED if interpret else COMPILED
    if not interpret:
        stand_in_for_an_h100()
    results = {}
    for name, check in checks.items():
        torch.manual_seed(0)
        try:
            check("cpu")
            results[name] = "passed"
        except Exception:
            results[name] = traceback.format_exc()
    report.write_text(json.dumps(results))


def stand_in_for_an_h100() -> None:
    from triton.backends.compiler import GPUTarget
    from triton.runtime import driver

    class H100:
        def get_current_device(self) -> int:
            return 0

        def get_current_stream(self, device: int) -> int:
            return 0

        def get_current_target(self) -> GPUTarget:
            return GPUTarget("cuda", 90, 32)

    driver.set_active(H100())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
