"""Rows of results made by hand."""


def made_row(name: str = "one image", config: str = "coco", **changes: object) -> dict:
    return {
        "name": name, "config": config, "size": None, "styles": 1,
        "seconds": {"plain": 8.0, "fast": 4.0},
        "times": {"plain": [7.0, 8.0, 9.0], "fast": [4.0, 4.0, 4.0]},
        "images": {"plain": 1, "fast": 1}, "first_round_counts": False,
        "moved_bytes": {}, "not_measured": {"fast bfloat16": "no such instructions"},
        "counts": {
            "plain": {"peak_bytes": 800 << 20, "flops": 640e9},
            "fast": {"peak_bytes": 240 << 20, "flops": 300e9},
        },
        "rates": {"float32": 100.0, "bfloat16": None, "copy": 10.0},
        "measured_at": "2026-01-01T00:00:00+00:00",
    } | changes  # fmt: skip
