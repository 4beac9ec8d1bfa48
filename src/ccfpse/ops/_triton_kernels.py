# mypy: disable-error-code="no-untyped-def"
"""The Triton kernels of the conditional convolution; imports triton, so `_triton` imports this at first use.

The op is bound by memory: nine kernel elements are read (or written) for every element of x. So each program
owns a tile of BLOCK_C channels × BLOCK_W columns of one row and touches each of its kernel elements once, in
its own dtype; the shifted reads of the small tensors (x, the gradient of y) are served by the caches. Kernels
that the batch shares stay in registers while the program walks over the `samples`. Sums are float32.

Every tensor comes with its strides, the kernels as N×C×9×H×W, and all offsets are 64-bit. Tap 3u + v of pixel
(i, j) multiplies x at (i + u - 1, j + v - 1). Arguments that say nothing of alignment are not specialised, so
that strips of every height and place share one compiled kernel.
"""

import triton
import triton.language as tl


@triton.jit
def _tile(tiles_w, BLOCK_C: tl.constexpr, BLOCK_W: tl.constexpr):
    """The program's set of kernels, its row, its channels (C×1) and columns (1×W), all 64-bit."""
    row = tl.program_id(0) // tiles_w
    w = (tl.program_id(0) % tiles_w) * BLOCK_W + tl.arange(0, BLOCK_W)
    c = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    return tl.program_id(2).to(tl.int64), row.to(tl.int64), c[:, None].to(tl.int64), w[None, :].to(tl.int64)


@triton.jit
def _where(inside, w, width, condition):
    """`inside` if a scalar condition holds, else nothing (the interpreter cannot `&` a tile and a scalar)."""
    return inside & (w < tl.where(condition, width, 0))


@triton.jit
def _three(left, middle, right, w, width, inside):
    """Three neighbouring columns as float32; zero beyond the image and where the tile is not `inside`."""
    return (
        tl.load(left, mask=inside & (w > 0), other=0.0).to(tl.float32),
        tl.load(middle, mask=inside, other=0.0).to(tl.float32),
        tl.load(right, mask=inside & (w + 1 < width), other=0.0).to(tl.float32),
    )


@triton.jit
def _dot(at, stride_w, w, width, inside, k_left, k_middle, k_right):
    """One row of the 3×3 window around `at` times its kernel elements."""
    left, middle, right = _three(at - stride_w, at, at + stride_w, w, width, inside)
    return left * k_left + middle * k_middle + right * k_right


@triton.jit(do_not_specialize=["x_rows", "rows", "row_offset"])
def apply(
    x, x_n, x_c, x_h, x_w,
    weight, weight_n, weight_c, weight_t, weight_h, weight_w,
    y, y_n, y_c, y_h, y_w,
    samples, channels, x_rows, rows, width, row_offset, tiles_w,
    BLOCK_C: tl.constexpr, BLOCK_W: tl.constexpr,
):  # fmt: skip
    """y[n,c,i,j] = Σ_{u,v} x[n, c, row_offset + i + u - 1, j + v - 1] · weight[n, c, 3u + v, i, j]."""
    kernels, i, c, w = _tile(tiles_w, BLOCK_C, BLOCK_W)
    inside = (c < channels) & (w < width)
    tap = weight + kernels * weight_n + i * weight_h + c * weight_c + w * weight_w
    t = tl.cast(weight_t, tl.int64)
    k0 = tl.load(tap, mask=inside, other=0.0).to(tl.float32)
    k1 = tl.load(tap + t, mask=inside, other=0.0).to(tl.float32)
    k2 = tl.load(tap + 2 * t, mask=inside, other=0.0).to(tl.float32)
    k3 = tl.load(tap + 3 * t, mask=inside, other=0.0).to(tl.float32)
    k4 = tl.load(tap + 4 * t, mask=inside, other=0.0).to(tl.float32)
    k5 = tl.load(tap + 5 * t, mask=inside, other=0.0).to(tl.float32)
    k6 = tl.load(tap + 6 * t, mask=inside, other=0.0).to(tl.float32)
    k7 = tl.load(tap + 7 * t, mask=inside, other=0.0).to(tl.float32)
    k8 = tl.load(tap + 8 * t, mask=inside, other=0.0).to(tl.float32)
    source = i + row_offset
    above = _where(inside, w, width, source > 0)
    below = _where(inside, w, width, source + 1 < x_rows)
    for s in range(0, samples):
        n = kernels * samples + s
        at = x + n * x_n + source * x_h + c * x_c + w * x_w
        total = _dot(at - x_h, x_w, w, width, above, k0, k1, k2)
        total += _dot(at, x_w, w, width, inside, k3, k4, k5)
        total += _dot(at + x_h, x_w, w, width, below, k6, k7, k8)
        out = y + n * y_n + i * y_h + c * y_c + w * y_w
        tl.store(out, total.to(y.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=["rows", "row_offset", "first_row"])
def grad_x(
    grad, grad_n, grad_c, grad_h, grad_w,
    weight, weight_n, weight_c, weight_t, weight_h, weight_w,
    out, out_n, out_c, out_h, out_w,
    samples, channels, rows, width, row_offset, first_row, tiles_w,
    ADD: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_W: tl.constexpr,
):  # fmt: skip
    """out[n,c,r,j] (+)= Σ_{u,v} grad[n,c,i,j+1-v] · weight[n,c,3u+v,i,j+1-v], i = r - row_offset + 1 - u.

    Row by row of out from `first_row` on; grad and weight have `rows` rows.
    """
    kernels, r, c, w = _tile(tiles_w, BLOCK_C, BLOCK_W)
    r += first_row
    i = r - row_offset
    inside = (c < channels) & (w < width)
    above = _where(inside, w, width, (i > 0) & (i - 1 < rows))
    level = _where(inside, w, width, (i >= 0) & (i < rows))
    below = _where(inside, w, width, (i + 1 >= 0) & (i + 1 < rows))
    tap = weight + kernels * weight_n + i * weight_h + c * weight_c + w * weight_w
    t = tl.cast(weight_t, tl.int64)
    # The output above a pixel used it with its lower taps (u = 2), that to its left with the right (v = 2).
    high, low = tap - weight_h, tap + weight_h
    k8, k7, k6 = _three(high + 8 * t - weight_w, high + 7 * t, high + 6 * t + weight_w, w, width, above)
    k5, k4, k3 = _three(tap + 5 * t - weight_w, tap + 4 * t, tap + 3 * t + weight_w, w, width, level)
    k2, k1, k0 = _three(low + 2 * t - weight_w, low + t, low + weight_w, w, width, below)
    for s in range(0, samples):
        n = kernels * samples + s
        at = grad + n * grad_n + i * grad_h + c * grad_c + w * grad_w
        total = _dot(at - grad_h, grad_w, w, width, above, k8, k7, k6)
        total += _dot(at, grad_w, w, width, level, k5, k4, k3)
        total += _dot(at + grad_h, grad_w, w, width, below, k2, k1, k0)
        to = out + n * out_n + r * out_h + c * out_c + w * out_w
        if ADD:
            total += tl.load(to, mask=inside, other=0.0).to(tl.float32)
        tl.store(to, total.to(out.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=["x_rows", "rows", "row_offset"])
def grad_weight(
    grad, grad_n, grad_c, grad_h, grad_w,
    x, x_n, x_c, x_h, x_w,
    out, out_n, out_c, out_t, out_h, out_w,
    samples, channels, x_rows, rows, width, row_offset, tiles_w,
    BLOCK_C: tl.constexpr, BLOCK_W: tl.constexpr,
):  # fmt: skip
    """out[n,c,3u+v,i,j] = grad[n,c,i,j] · x[n,c,row_offset+i+u-1,j+v-1], summed over samples sharing it."""
    kernels, i, c, w = _tile(tiles_w, BLOCK_C, BLOCK_W)
    inside = (c < channels) & (w < width)
    to = out + kernels * out_n + i * out_h + c * out_c + w * out_w
    t = tl.cast(out_t, tl.int64)
    for u in tl.static_range(3):
        source = i + row_offset + u - 1
        valid = _where(inside, w, width, (source >= 0) & (source < x_rows))
        left = tl.zeros((BLOCK_C, BLOCK_W), tl.float32)
        middle = tl.zeros((BLOCK_C, BLOCK_W), tl.float32)
        right = tl.zeros((BLOCK_C, BLOCK_W), tl.float32)
        for s in range(0, samples):
            n = kernels * samples + s
            g = tl.load(grad + n * grad_n + i * grad_h + c * grad_c + w * grad_w, mask=inside, other=0.0)
            g = g.to(tl.float32)
            at = x + n * x_n + source * x_h + c * x_c + w * x_w
            x_left, x_middle, x_right = _three(at - x_w, at, at + x_w, w, width, valid)
            left += g * x_left
            middle += g * x_middle
            right += g * x_right
        tl.store(to + 3 * u * t, left.to(out.dtype.element_ty), mask=inside)
        tl.store(to + (3 * u + 1) * t, middle.to(out.dtype.element_ty), mask=inside)
        tl.store(to + (3 * u + 2) * t, right.to(out.dtype.element_ty), mask=inside)
