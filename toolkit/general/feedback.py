"""Does the model make its own data: by what it shows, by whom it deters, by what it removes?

The diagnostics for the reader's own tables, by loop: exposure (`exposure`), senders who answer the
model (`evasion`), reports that fall as coverage rises (`loop`). The loops themselves are modelled in
`lock_in`, `strategic` and `coverage`, the labels that break them in `mistakes`.
"""

from toolkit.general.evasion import bunching, mutability_decay
from toolkit.general.exposure import explore_vs_exploit_gap, exposure_lockin
from toolkit.general.loop import loop_gain, reports_vs_prevalence

__all__ = [
    "bunching",
    "explore_vs_exploit_gap",
    "exposure_lockin",
    "loop_gain",
    "mutability_decay",
    "reports_vs_prevalence",
]
