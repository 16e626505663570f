"""What do a chapter's demos cost: a state, all states, and their numbers in the page?

Times are the process's own on one core, so that other work on the machine isn't counted.
"""

from __future__ import annotations

import io
import json
import statistics
import time
from collections.abc import Iterator
from contextlib import redirect_stdout

from benchmarks.measuring import ROOT, Row, compressed, measures, seconds
from toolkit.explore.page import payload
from toolkit.publish.notebooks import chapter_demos, chapters


@measures("demos")
def every_demo_of_every_chapter() -> Iterator[Row]:
    """Each chapter's slowest state and heaviest demo, and all states of its slowest demo, on one core."""
    for path in chapters(ROOT):
        slowest, longest, heaviest = [], [], []
        with redirect_stdout(io.StringIO()):  # what the chapter prints
            found = chapter_demos(path)
        for demo in found:
            demo.compute(demo.default)  # what the demo's states share, such as a world, is built once a page
            taken = []
            for values in demo.grid():
                start = time.process_time()
                demo.state(**values)
                taken.append((time.process_time() - start, demo.describe(values)))
            longest.append((sum(each for each, _ in taken), f"{demo.name}, {len(taken)} states"))
            usual = statistics.median(each for each, _ in taken)
            most, at = max(taken)
            slowest.append((most, f"{demo.name}: {at}; its median {usual:.3f} s"))
            content = json.dumps(payload(demo), separators=(",", ":"), ensure_ascii=False)
            heaviest.append((compressed(content.encode()), demo.name))
        for what, unit, budget, measured in (
            ("one state of a demo", "s", 0.3, slowest),
            ("all states of a demo, one core", "s", 10, longest),
            ("a demo's data in the page, gzip", "KB", 60, heaviest),
        ):
            most, which = max(measured)
            yield Row(what, unit, budget, most, path.stem, which)


@measures("demos")
def the_story() -> Iterator[Row]:
    """The opening story's world, and its 64 environments once it is built."""
    from toolkit.world import simulate
    from toolkit.world.mechanisms import MECHANISMS
    from toolkit.world.story import tell

    yield Row("the baseline world", "s", 3, seconds(simulate, runs=3, clock=time.process_time), "intro")
    story = tell(seed=7)  # a seed that no chapter has told yet
    names = list(MECHANISMS)
    subsets = [
        {name for place, name in enumerate(names) if number >> place & 1} for number in range(2 ** len(names))
    ]
    taken = seconds(lambda: [story.lift(subset) for subset in subsets], clock=time.process_time)
    yield Row(f"the {len(subsets)} environments, world built", "s", 5, taken, "intro")
