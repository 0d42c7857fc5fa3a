"""Intervals: a figure with the lowest and highest that is known of it, and arithmetic on them.

All figures are positive. The interval of a product takes both ends together, which is wider than
independent errors would make it.

Does not see: how likely each end is. They are the ends of what sources say, not of a distribution.
"""

from dataclasses import dataclass
from typing import Self

from governance.errors import UsageError


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure, between `low` and `high`."""

    value: float
    low: float
    high: float

    def __post_init__(self) -> None:
        """Hold the ends in order. Raises UsageError where they are not."""
        if not 0 <= self.low <= self.value <= self.high:
            raise UsageError(
                f"{self.low:g} to {self.high:g} with {self.value:g} between is no interval of "
                "positive figures; correct the row."
            )

    @classmethod
    def exactly(cls, value: float) -> Self:
        """Return a figure that nothing is unsure about."""
        return cls(value, value, value)

    def times(self, other: "Interval | float") -> Self:
        """Return the product."""
        by = other if isinstance(other, Interval) else Interval.exactly(other)
        return type(self)(self.value * by.value, self.low * by.low, self.high * by.high)

    def by(self, other: "Interval") -> Self:
        """Return the quotient. Raises UsageError where the divisor may be 0."""
        if not other.low:
            raise UsageError("Nothing can be divided by what may be 0; correct the row.")
        return type(self)(self.value / other.value, self.low / other.high, self.high / other.low)

    def under(self, whole: float) -> Self:
        """Return `whole` divided by the figure. Raises UsageError where the figure may be 0."""
        return type(self).exactly(whole).by(self)
