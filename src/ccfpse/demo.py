"""The demo: the bundled layouts drawn by the bundled model, as a grid PNG and a page."""

import html
from collections.abc import Iterator
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.progress import track

from ccfpse.data.layout_file import Layout, read_layout
from ccfpse.engine import Engine
from ccfpse.labels import LabelSpace
from ccfpse.model_files import BUNDLED
from ccfpse.pictures import grid

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>ccfpse demo</title>
<style>
 body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; }}
 figure {{ display: flex; flex-wrap: wrap; gap: 4px; margin: 0 0 1.5rem; }} figcaption {{ width: 100%; }}
 img {{ width: 192px; height: 192px; image-rendering: auto; }}
 .keys span {{ white-space: nowrap; margin-right: 1em; }}
 i {{ display: inline-block; width: 1em; height: 1em; margin-right: .3em; vertical-align: -.1em; }}
 @media (prefers-color-scheme: dark) {{ body {{ background: #16181c; color: #e8e8e8; }} }}
</style>
<h1>Layouts, and photos drawn from them</h1>
<p>Model <b>{name}</b>, {images} training images seen. Left the layout, then styles drawn from the prior.</p>
<p class="keys">{keys}</p>
{figures}
<p><small>{attribution}</small></p>
</html>
"""


def bundled_layouts(size: tuple[int, int]) -> Iterator[Layout]:
    """(name, class ids H×W, instance ids H×W or None) of every bundled layout,
    resized by nearest to (H, W).
    """
    folder = Path(str(BUNDLED / "layouts"))
    for path in sorted(folder.glob("*.png")):
        instances = folder / "instances" / path.name
        yield read_layout(path, instances if instances.is_file() else None, size)


def run(engine: Engine, out: Path, *, styles: int = 4, seed: int = 0, console: Console | None = None) -> Path:
    """Writes `grid.png`, `index.html` and the single pictures; returns the page's path.

    Raises ValueError for a model of other classes than the layouts'.
    """
    drawn = LabelSpace.load(Path(str(BUNDLED / "classes.json")))
    if engine.label_space.names != drawn.names:
        raise ValueError(
            f"the bundled layouts show {', '.join(drawn.names)}, which are not the classes of the model "
            f"{engine.name!r}; draw layouts of its own: ccfpse generate LAYOUTS --model …"
        )
    pictures = out / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    rows, figures = [], []
    for name, labels, ids in track(
        list(bundled_layouts(engine.trained_size)),
        description="drawing",
        console=console or Console(stderr=True),
    ):
        photos = engine.generate(labels, instances=ids, count=styles, seed=seed)
        cells = [engine.label_space.colorize(labels), *photos]
        sources = []
        for index, cell in enumerate(cells):
            file = f"{name}-{index}.png" if index else f"{name}-layout.png"
            Image.fromarray(cell).save(pictures / file)
            alt = f"{name}, style {index}" if index else f"layout of {name}"
            sources.append(f'<img src="pictures/{file}" alt="{html.escape(alt)}">')
        figures.append(f"<figure><figcaption>{html.escape(name)}</figcaption>{''.join(sources)}</figure>")
        rows.append(cells)
    grid(rows).save(out / "grid.png")
    space = engine.label_space
    keys = "".join(
        f'<span><i style="background: rgb{color}"></i>{html.escape(name)}</span>'
        for name, color in zip(space.names, space.colors, strict=True)
    )
    page = out / "index.html"
    page.write_text(
        PAGE.format(
            name=html.escape(engine.name),
            images=f"{engine.info.get('images', 0) + engine.info.get('images_before', 0):,}",
            keys=keys,
            figures="\n".join(figures),
            attribution=html.escape(engine.attribution),
        ),
        encoding="utf-8",
    )
    return page
