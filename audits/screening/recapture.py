"""How many there are, from how many two detectors found: the capture-recapture estimate.

Does not see: whether the detectors are independent, or a capture is true. Detectors that find the
same easy pictures make the estimate too low; false alarms make it too high.
"""

import math
from dataclasses import dataclass

from audits.audit import Z_95

LEAST_SHARED = 7  # with fewer the estimate is biased. Source: Robson and Regier 1964, after Seber


@dataclass(frozen=True, slots=True, kw_only=True)
class Recapture:
    """Pictures that the first found, that the second found, and that both found."""

    first: int
    second: int
    both: int

    @property
    def seen(self) -> int:
        """Return how many at least one of them found."""
        return self.first + self.second - self.both

    @property
    def missed(self) -> float:
        """Return the estimate of how many neither found.

        Source: Chapman 1951, the estimator (n1 + 1)(n2 + 1)/(m + 1) - 1, less those seen.
        """
        return (self.first - self.both) * (self.second - self.both) / (self.both + 1)

    @property
    def variance(self) -> float:
        """Return the variance of the estimate. Source: Seber 1982, equation 3.2."""
        ones, twos = self.first + 1, self.second + 1
        alone = (self.first - self.both) * (self.second - self.both)
        return ones * twos * alone / ((self.both + 1) ** 2 * (self.both + 2))

    def interval(self) -> tuple[float, float]:
        """Return the 95 % interval of `missed`, log-normal, so that it is never below zero.

        Source: Chao 1987, Biometrics 43(4), the interval of the number not seen.
        """
        if not self.missed:
            return 0.0, 0.0
        spread = math.exp(Z_95 * math.sqrt(math.log1p(self.variance / self.missed**2)))
        return self.missed / spread, self.missed * spread
