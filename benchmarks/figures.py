"""What follows from a row: ratios, rates, and shares of what the machine was measured to do."""

from benchmarks.row import Row


def speedup(row: Row, variant: str) -> float | None:
    """Plain seconds per image over the variant's."""
    plain, seconds = row["seconds"].get("plain"), row["seconds"].get(variant)
    return None if plain is None or seconds is None else plain / seconds


def relative(row: Row, variant: str, count: str) -> float | None:
    """A variant's peak_bytes or saved_bytes over plain's."""
    plain, own = (row["counts"].get(name, {}).get(count) for name in ("plain", variant))
    return None if plain is None or own is None else own / max(1, plain)


def rate(row: Row, variant: str) -> float | None:
    """GFLOP/s; the plain variant's FLOPs where the variant has no count of its own."""
    flops, seconds = flops_of(row, variant), row["seconds"].get(variant)
    return flops / seconds / 1e9 if flops and seconds else None


def share_of_matmul(row: Row, variant: str) -> float | None:
    own, machine = rate(row, variant), _matmul(row, variant)
    return own / machine if own and machine else None


def copying(row: Row, variant: str) -> float | None:
    """GB/s of the least memory traffic."""
    moved, seconds = row["moved_bytes"].get(variant), row["seconds"].get(variant)
    return moved / seconds / 1e9 if moved and seconds else None


def share_of_copying(row: Row, variant: str) -> float | None:
    own, machine = copying(row, variant), row["rates"].get("copy")
    return own / machine if own and machine else None


def speedup_at_matmul_rate(row: Row, variant: str) -> float | None:
    """The speed-up if the variant's FLOPs ran at the measured rate of matrix products, and all else took no
    time; None where they were not counted."""
    if "flops" not in row["counts"].get(variant, {}):
        return None
    share, reached = share_of_matmul(row, variant), speedup(row, variant)
    return reached / share if share and reached else None


def flops_of(row: Row, variant: str) -> float | None:
    counts = row["counts"]
    flops: float | None = counts.get(variant, {}).get("flops", counts.get("plain", {}).get("flops"))
    return flops


def _matmul(row: Row, variant: str) -> float | None:
    machine: float | None = row["rates"]["bfloat16" if variant == "fast bfloat16" else "float32"]
    return machine
