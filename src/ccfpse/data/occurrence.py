"""Which of the classes that a data set lists occur in it, and when that makes no sense."""

import numpy as np

from ccfpse.data.pairing import Fault
from ccfpse.labels import LabelSpace


def never(space: LabelSpace, occurs: np.ndarray) -> list[str]:
    """The names of the classes that do not occur. occurs: bool of `space.channels`."""
    return [name for name, there in zip(space.names, occurs, strict=False) if not there]


def doubtful(space: LabelSpace, occurs: np.ndarray) -> str | None:
    """What is worth a look in label maps of one class and "no class": masks the wrong way round?"""
    if len(space) > 1 or not space.unknown or not occurs.all():
        return None
    return (
        f"pixels of {space.names[0]!r} have id 0, those of no class {space.ignore}; if it is the other way "
        f'round, as in masks, `ccfpse data convert remap SRC DST --ids "0:{space.ignore}, {space.ignore}:0"`'
    )


def meaningless(split: str, space: LabelSpace, occurs: np.ndarray) -> Fault | None:
    """What is wrong where a split's label maps tell nothing: no class, or one class and "no class" besides.

    The latter is what masks of 0 and 255 look like, the commonest form of two classes. occurs: as in `never`.
    """
    there = [name for name, occurring in zip(space.names, occurs, strict=False) if occurring]
    if not occurs.any() or not space.unknown or not occurs[-1]:
        return None
    if not there:
        cure = "mend the label maps, or set another ignore in classes.json"
        return Fault(split, f"no pixel has a class: all label maps hold {space.ignore} alone", cure)
    if len(there) > 1 or len(space) == 1:
        return None
    what = f"of {len(space)} classes only {there[0]!r} occurs, and pixels of no class ({space.ignore})"
    cure = (
        f'where {space.ignore} means a class: `ccfpse data convert remap SRC DST --ids "{space.ignore}:1"`; '
    )
    return Fault(split, what, cure + "where it does not, list that class alone in classes.json")
