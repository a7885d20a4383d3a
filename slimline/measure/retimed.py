"""Two products timed in turns, in one process on one machine."""

from dataclasses import dataclass

from slimline.measure import block_times
from slimline.measure.block_times import Times


@dataclass(frozen=True)
class SideBySide:
    """The times of what is compared with, and of ours."""

    before: Times
    after: Times
    max_noise: float
    """Percent that the ratio of the two may be off by, to be called quiet."""
    machine: str

    @property
    def is_noisy(self) -> bool:
        """Whether it still was when the time for it was over."""
        return not block_times.noise(self.before, self.after) <= self.max_noise
