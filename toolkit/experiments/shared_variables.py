"""What do the two arms of a test share that nobody wrote down?

The diagnostics for the reader's own tables, by what is shared: the split itself (`srm`), another
experiment's split (`orthogonality`), a budget or a capacity (`capacity_interference`), the calendar
of a ramp-up (`simpson`). What they stand on: FooBar's budget (`shared_budget`), two experiments on
one hash (`overlaps`), a cache (`caches`), contacts between users (`spillover`), a `switchback`; and
what the designs cost that assign something else than users (`designs`).
"""

from toolkit.experiments.capacity import capacity_interference
from toolkit.experiments.orthogonality import orthogonality
from toolkit.experiments.simpson import simpson
from toolkit.experiments.srm import srm

__all__ = ["capacity_interference", "orthogonality", "simpson", "srm"]
