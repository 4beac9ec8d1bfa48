"""Seconds per image over resolution and number of styles, as one SVG; both axes are logarithmic."""

import math
from typing import Any

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 380, 280, 60, 40, 50
COLOURS = {"plain": "#b3261e", "fast": "#1b6e3c", "fast bfloat16": "#1f4fa3"}
DASHES = ("none", "6 4")  # one per configuration


def scaling_plot(points: list[dict[str, Any]]) -> str:
    """Two panels: pixels on a side, and styles of one layout."""
    by_size = [(point, point["size"]) for point in points if point["size"]]
    by_styles = [(point, point["styles"]) for point in points if not point["size"]]
    panels = [
        _panel(0, "one image, by pixels on a side", by_size),
        _panel(WIDTH + LEFT, "styles of one layout", by_styles),
    ]
    legend = "".join(
        f'<text x="{LEFT + 10 + 130 * i}" y="{HEIGHT + TOP + BOTTOM - 2}" fill="{colour}">{name}</text>'
        for i, (name, colour) in enumerate(COLOURS.items())
    )
    configs = list(dict.fromkeys(point["config"] for point in points))
    styles = " · ".join(f"{config}: {('solid', 'dashed')[i]}" for i, config in enumerate(configs))
    legend += f'<text x="{LEFT + 420}" y="{HEIGHT + TOP + BOTTOM - 2}">{styles}</text>'
    width, height = 2 * (WIDTH + LEFT) + 20, HEIGHT + TOP + BOTTOM + 10
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>'
        f"{''.join(panels)}{legend}</svg>\n"
    )


def _panel(offset: int, title: str, points: list[tuple[dict[str, Any], int]]) -> str:
    xs = sorted({x for _, x in points})
    seconds = [value for point, _ in points for value in point["seconds"].values()]
    low, high = math.floor(math.log10(min(seconds))), math.ceil(math.log10(max(seconds)))
    high = max(high, low + 1)

    def place(x: float, y: float) -> tuple[float, float]:
        span = math.log2(xs[-1] / xs[0]) or 1.0
        across = math.log2(x / xs[0]) / span
        up = (math.log10(y) - low) / (high - low)
        return offset + LEFT + across * (WIDTH - 20), TOP + (1 - up) * HEIGHT

    parts = [f'<text x="{offset + LEFT}" y="{TOP - 16}" font-weight="bold">{title}: s per image</text>']
    for exponent in range(low, high + 1):
        left, y = place(xs[0], 10.0**exponent)
        parts.append(f'<path d="M{left:.1f} {y:.1f}h{WIDTH - 20}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 8:.1f}" y="{y + 4:.1f}" text-anchor="end">{10.0**exponent:g}</text>')
    for x in xs:
        left, bottom = place(x, 10.0**low)
        parts.append(f'<text x="{left:.1f}" y="{bottom + 18:.1f}" text-anchor="middle">{x}</text>')
    configs = list(dict.fromkeys(point["config"] for point, _ in points))
    for number, config in enumerate(configs):
        for variant, colour in COLOURS.items():
            line = [
                place(x, point["seconds"][variant])
                for point, x in points
                if point["config"] == config and variant in point["seconds"]
            ]
            if line:
                path = " ".join(f"{x:.1f},{y:.1f}" for x, y in line)
                parts.append(
                    f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2" '
                    f'stroke-dasharray="{DASHES[number % len(DASHES)]}"/>'
                )
                parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in line]
    return "".join(parts)
