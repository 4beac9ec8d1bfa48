"""Which workloads make up a run: the table's rows and the points of the plot."""

from collections.abc import Iterable

from benchmarks.workloads import CONFIGS, Workload

SIZES, STYLES = (128, 256, 512, 1024), (1, 4, 16, 64)
QUICK_SIZES, QUICK_STYLES = (64, 128), (1, 2)  # of "tiny"


def table(config: str) -> list[Workload]:
    """The rows of one configuration."""
    return [
        Workload("apply", config),
        Workload("op forward", config),
        Workload("op forward+backward", config),
        Workload("one image", config),
        Workload("cached layout", config),
        Workload("styles", config, styles=16),
        Workload("training forward", config),
        Workload("training step", config),
    ]


def over_sizes(config: str) -> dict[int, Workload]:
    """One image by pixels on a side; at the configuration's own size it is the row of the table."""
    sizes = QUICK_SIZES if config == "tiny" else SIZES
    own = CONFIGS[config].size
    return {size: Workload("one image", config, size=None if (size, size) == own else size) for size in sizes}


def over_styles(config: str) -> dict[int, Workload]:
    """Styles of one layout in the configuration's own size; one style is one image."""
    counts = QUICK_STYLES if config == "tiny" else STYLES
    return {
        count: Workload("one image", config) if count == 1 else Workload("styles", config, styles=count)
        for count in counts
    }


def plan(configs: Iterable[str], only: str | None = None) -> list[Workload]:
    """Everything to be measured, each once; the image in its own size before those that are judged by it."""
    wanted: list[Workload] = []
    for config in configs:
        wanted += [workload for workload in table(config) if only in (None, workload.name)]
        if only in (None, "scaling"):
            own = Workload("one image", config)
            wanted += [own, *over_sizes(config).values(), *over_styles(config).values()]
    return list(dict.fromkeys(wanted))
