"""Kernels as forks: each a process of its own, with nothing in it that another has left or that was computed."""

import os
import subprocess
import sys

import nbformat
import pytest

from toolkit.publish import kernels
from toolkit.publish.execution import execute

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="kernels are forks on Linux alone")

LOOK = """
import functools, importlib, os, sys
for name in {names}:
    importlib.import_module(name)
kept = [
    f"{{module}}.{{name}}"
    for module in list(sys.modules) if module.startswith("toolkit")
    for name, value in vars(sys.modules[module]).items()
    if isinstance(value, functools._lru_cache_wrapper) and value.cache_info().currsize
]
print(kept, "polars" in sys.modules)
"""


def chapter(path, source):
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)]), path)
    return path


def test_what_is_imported_computes_nothing_and_starts_no_engine():
    look = LOOK.format(names=kernels.IMPORTED)
    told = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert told.stdout == "[] False\n"  # polars would keep a thread, which no fork has


def test_each_kernel_is_a_fresh_process_with_its_own_random_numbers_and_paths(tmp_path):
    source = (
        "import os, sys\n"
        "ready = 'scipy.stats' in sys.modules\n"
        "import numpy as np\n"
        "fresh = not hasattr(np, 'left_by_another')\n"
        "np.left_by_another = True\n"
        "print(os.getpid(), os.getsid(0), np.random.random(), ready, fresh, os.getenv('MARK'), sys.path.count(''))"
    )
    paths = [chapter(tmp_path / name / "chapter.ipynb", source) for name in ("one", "two", "three")]
    told = {}
    failed = execute(paths, {"MARK": "x"}, lambda path, made, _: told.update({path: made}))
    assert failed == {}
    said = [told[path].cells[0].outputs[0].text.split() for path in paths]
    pids, sessions, drawn, *rest = zip(*said, strict=True)
    assert len(set(pids)) == len(set(drawn)) == 3
    assert pids == sessions
    assert rest == [(each,) * 3 for each in ("True", "True", "x", "1")]


def test_a_kernel_leaves_no_process_and_no_file_behind(tmp_path):
    source = "import os, tempfile; kept = tempfile.TemporaryDirectory(); print(kept.name, os.getpid())"
    path, told = chapter(tmp_path / "chapter.ipynb", source), []
    assert execute([path], {}, lambda _, made, __: told.append(made)) == {}
    folder, pid = told[0].cells[0].outputs[0].text.split()
    assert not os.path.exists(folder)
    assert not os.path.exists(f"/proc/{pid}")


def test_a_kernel_that_dies_is_told_and_stops_no_other(tmp_path):
    bad = chapter(tmp_path / "bad" / "chapter.ipynb", "import os; os._exit(1)")
    good = chapter(tmp_path / "good" / "chapter.ipynb", "1")
    done = []
    failed = execute([bad, good], {}, lambda path, *_: done.append(path))
    assert list(failed) == [bad]
    assert "died" in str(failed[bad]).lower()
    assert done == [good]


def test_a_chapter_shows_charts_and_tables_as_in_a_kernel_of_its_own(tmp_path):
    source = (
        "import pandas as pd\nfrom toolkit import charts, explore\nimport altair as alt\n"
        "display(alt.Chart(pd.DataFrame({'x': [1]}), title='One mark').mark_point().encode(x='x:Q'))\n"
        "print(pd.get_option('display.max_columns'))"
    )
    path, told = chapter(tmp_path / "chapter.ipynb", source), []
    assert execute([path], {"TOOLKIT_RENDER": "text"}, lambda _, made, __: told.append(made)) == {}
    chart, printed = told[0].cells[0].outputs
    assert chart.data["text/plain"] == "Chart: One mark"
    assert printed.text == "20\n"
