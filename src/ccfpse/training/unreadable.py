"""Files that turn unreadable while a run goes on: skipped, counted, reported; too many end the run."""

from collections import Counter, deque
from collections.abc import Sequence

from ccfpse.data import CorruptSample, Sample
from ccfpse.training.stream import Drawn

RECENT = 64  # reads by which the share of unreadable files is judged
ENOUGH = 16  # reads without which it is not


class Unreadable:
    """What the processes of a run met since they started."""

    def __init__(self) -> None:
        self.times: Counter[str] = Counter()
        self._recent: deque[bool] = deque(maxlen=RECENT)

    def sift(self, drawn: Sequence[Drawn]) -> tuple[list[Sample], list[CorruptSample]]:
        """This process's samples of a batch, and what was skipped for them.

        Raises:
            ValueError: when more than half of the last reads failed.
        """
        skipped = [error for item in drawn for error in item.skipped]
        for item in drawn:
            self._recent.extend([True] * len(item.skipped) + [False] * (item.sample is not None))
        samples = [item.sample for item in drawn if item.sample is not None]
        too_many = bool(skipped) and len(self._recent) >= ENOUGH and 2 * sum(self._recent) > len(self._recent)
        if too_many or len(samples) < len(drawn):
            raise ValueError(
                f"{sum(self._recent)} of the last {len(self._recent)} samples could not be read, the last "
                f"because of {skipped[-1]}. Is the disk or network drive still there? The run goes on "
                "from the last state on disk once the data is readable"
            )
        return samples, skipped

    def count(self, skipped: Sequence[CorruptSample]) -> None:
        """Takes note of what any process skipped."""
        self.times.update(error.path for error in skipped)

    def summary(self, total: int) -> str:
        """For the end of a run; `total`: how often it happened in the whole run."""
        named = [f"{path} ({count}×)" for path, count in self.times.most_common(5)]
        more = f" and {len(self.times) - 5} more" if len(self.times) > 5 else ""
        listed = f": {', '.join(named)}{more}" if named else ""
        often = f"{total} time{'s' * (total != 1)}"
        return f"{often} a file that could not be read was replaced by the next sample{listed}"
