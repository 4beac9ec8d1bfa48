"""Which sample comes k-th: a pure function of the seed and k, so that resuming needs no state but k."""

from collections.abc import Iterator, Sequence

import numpy as np


class SampleOrder:
    """An endless shuffled walk through a data set, epoch after epoch, addressable at any position.

    count: samples in the set. seed: of the order and of `rng`. groups: how many consecutive samples lie
    together (the sizes of the shards); then groups are shuffled, and samples only within `together`
    neighbouring groups of the shuffled sequence, so that few shards are open at a time.

    With R ranks of batch B, rank r at `images` images seen takes positions images + r·B … images + r·B + B
    - 1: ranks never overlap, and any number of workers may fetch them.
    """

    def __init__(
        self, count: int, seed: int, groups: Sequence[int] | None = None, *, together: int = 8
    ) -> None:
        if count < 1:
            raise ValueError(f"a data set to draw from needs at least one sample, got count = {count}")
        if groups is not None and sum(groups) != count:
            raise ValueError(f"the groups hold {sum(groups)} samples, but the data set has {count}")
        self.count = count
        self.seed = seed
        self.groups = None if groups is None else np.asarray(groups)
        self.together = together
        self._epoch = -1
        self._order = np.empty(0, dtype=np.int64)

    def index(self, position: int) -> int:
        """The data set index of the sample at `position` = 0, 1, 2, …; each epoch holds every sample once."""
        epoch, step = divmod(position, self.count)
        if epoch != self._epoch:
            self._order, self._epoch = self._shuffled(epoch), epoch
        return int(self._order[step])

    def rng(self, position: int) -> np.random.Generator:
        """The source of everything random about the sample at `position`: crop, flip, augmentation."""
        return np.random.default_rng([self.seed, 1, position])

    def candidates(self, position: int, tries: int) -> Iterator[int]:
        """The sample at `position`, then those that stand in for it where it cannot be read: the next ones.

        Which one is used follows from the position and from which files are broken, so that a run that goes
        on draws the same. At most `tries`, each sample once.
        """
        drawn: set[int] = set()
        for later in range(position, position + min(tries, 2 * self.count)):
            index = self.index(later)
            if index not in drawn:
                drawn.add(index)
                yield index

    def _shuffled(self, epoch: int) -> np.ndarray:
        rng = np.random.default_rng([self.seed, 0, epoch])
        if self.groups is None:
            return rng.permutation(self.count)
        starts = np.cumsum(self.groups) - self.groups
        shuffled = rng.permutation(len(self.groups))
        parts = []
        for first in range(0, len(shuffled), self.together):
            near = shuffled[first : first + self.together]
            members = np.concatenate([starts[g] + np.arange(self.groups[g]) for g in near])
            parts.append(rng.permutation(members))
        return np.concatenate(parts)
