"""Seconds per image over resolution and number of styles, as one SVG; both axes are logarithmic."""

import math
from collections.abc import Iterator
from html import escape

from benchmarks.row import Row

WIDTH, HEIGHT = 340, 270  # of a panel's axes
LEFT, TOP, BETWEEN, BOTTOM = 74, 92, 90, 92
VARIANTS = {"plain": "plain", "fast": "fast", "fast bfloat16": "bfloat16"}  # and their classes
DASHES = ("none", "6 4")  # one per configuration
STYLE = """
text { fill: #24292f; font: 13px system-ui, sans-serif }
.small { font-size: 12px } .title { font-size: 17px; font-weight: 600 } .panel { font-weight: 600 }
.paper { fill: #ffffff } .grid { stroke: #d8dee4 } .axis { stroke: #57606a; fill: none }
.plain { --ink: #c2410c } .fast { --ink: #0b62b8 } .bfloat16 { --ink: #0f766e } .either { --ink: #57606a }
.line { fill: none; stroke: var(--ink); stroke-width: 2 }
.dot { fill: var(--ink); stroke: var(--ink); stroke-width: 2 } .hollow { fill: #ffffff }
@media (prefers-color-scheme: dark) {
 text { fill: #e6edf3 } .paper, .hollow { fill: #0d1117 } .grid { stroke: #30363d } .axis { stroke: #8b949e }
 .plain { --ink: #fb923c } .fast { --ink: #60a5fa } .bfloat16 { --ink: #2dd4bf } .either { --ink: #8b949e }
}
"""
Series = dict[str, dict[int, Row]]  # by configuration, then by the value on the axis across


def scaling_plot(by_size: Series, by_styles: Series, machine: str) -> str:
    """Two panels: pixels on a side, and styles of one layout; a line per configuration and variant."""
    width, height = LEFT + 2 * WIDTH + BETWEEN + 30, TOP + HEIGHT + BOTTOM
    parts = [
        f'<rect class="paper" width="{width}" height="{height}"/>',
        '<text class="title" x="20" y="30">Seconds per image, plain and fast</text>',
        f'<text class="small" x="20" y="50">{escape(machine)}</text>',
        *_panel(LEFT, "One image of a new layout", "height = width, pixels", by_size),
        *_panel(LEFT + WIDTH + BETWEEN, "Styles of one layout", "styles drawn together", by_styles),
        *_legend(by_size | by_styles, TOP + HEIGHT + 72),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img" aria-label="Seconds per image, plain and fast">'
        f"<style>{STYLE}</style>\n" + "\n".join(parts) + "\n</svg>\n"
    )


def _panel(left: int, title: str, across: str, series: Series) -> Iterator[str]:
    points = [(x, row) for rows in series.values() for x, row in rows.items()]
    xs = sorted({x for x, _ in points})
    seconds = [value for _, row in points for value in row["seconds"].values()]
    ticks = _ticks(min(seconds), max(seconds))

    def place(x: float, y: float) -> tuple[float, float]:
        right = math.log(x / xs[0]) / (math.log(xs[-1] / xs[0]) or 1)
        up = math.log(y / ticks[0]) / math.log(ticks[-1] / ticks[0])
        return left + 14 + right * (WIDTH - 28), TOP + (1 - up) * HEIGHT

    middle = f'x="{left + WIDTH / 2}" text-anchor="middle"'
    yield f'<text class="panel" x="{left}" y="{TOP - 14}">{title}</text>'
    yield f'<text class="small" {middle} y="{TOP + HEIGHT + 40}">{across}</text>'
    turned = f'transform="translate({left - 52} {TOP + HEIGHT / 2}) rotate(-90)" text-anchor="middle"'
    yield f'<text class="small" {turned}>seconds per image</text>'
    for tick in ticks:
        y = place(xs[0], tick)[1]
        yield f'<path class="grid" d="M{left} {y:.1f}h{WIDTH}"/>'
        yield f'<text class="small" x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>'
    for x in xs:
        mark = place(x, ticks[0])[0]
        yield f'<path class="axis" d="M{mark:.1f} {TOP + HEIGHT}v5"/>'
        yield f'<text class="small" x="{mark:.1f}" y="{TOP + HEIGHT + 20}" text-anchor="middle">{x}</text>'
    yield f'<path class="axis" d="M{left} {TOP}v{HEIGHT}h{WIDTH}"/>'
    for number, rows in enumerate(series.values()):
        for variant, name in VARIANTS.items():
            line = [place(x, row["seconds"][variant]) for x, row in rows.items() if variant in row["seconds"]]
            yield from _line(line, name, number)


def _ticks(low: float, high: float) -> list[float]:
    """1, 2, 5, 10 … around the values; powers of ten alone where these would crowd."""
    for steps in ((1, 2, 5), (1,)):
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        all_ticks = [step * 10.0**decade for decade in decades for step in steps]
        first = max(i for i, tick in enumerate(all_ticks) if tick <= low)
        last = min((i for i, tick in enumerate(all_ticks) if tick >= high and i > first))
        if last - first < 12:
            break
    return all_ticks[first : last + 1]


def _line(points: list[tuple[float, float]], name: str, configuration: int) -> Iterator[str]:
    if not points:
        return
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dashes, hollow = DASHES[configuration % len(DASHES)], " hollow" if configuration else ""
    yield f'<g class="{name}"><polyline class="line" stroke-dasharray="{dashes}" points="{path}"/>'
    yield from (f'<circle class="dot{hollow}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>' for x, y in points)
    yield "</g>"


def _legend(series: Series, y: int) -> Iterator[str]:
    """Colours are variants; dashes and hollow dots are configurations."""
    drawn = {variant for rows in series.values() for row in rows.values() for variant in row["seconds"]}
    entries: list[tuple[str, str, int]] = [
        (variant, name, 0) for variant, name in VARIANTS.items() if variant in drawn
    ]
    entries += [(f"{config} configuration", "either", number) for number, config in enumerate(series)]
    x = LEFT
    for text, name, number in entries:
        yield from _line([(x, y - 4), (x + 34, y - 4)], name, number)
        yield f'<text x="{x + 44}" y="{y}">{escape(text)}</text>'
        x += 44 + 8 * len(text) + 26
