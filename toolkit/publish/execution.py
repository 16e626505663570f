"""How are chapters executed: each in a kernel of its own, several at once?"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nbformat

# A kernel's debugger would warn that it can't trace frozen modules.
QUIET = {"PYDEVD_DISABLE_FILE_VALIDATION": "1"}


def execute(
    paths: Sequence[Path],
    environment: Mapping[str, str],
    done: Callable[[Path, Any, float], None],
) -> dict[Path, Exception]:
    """Run notebooks, each in its own folder and kernel, as many at once as there are cores.

    Parameters
    ----------
    paths
        The notebooks' files.
    environment
        Variables to set in their kernels.
    done
        Called with path, executed notebook and seconds, as each one ends well; never two at once.

    Returns
    -------
    dict
        The notebooks that failed, with what each raised; the others run to their end.

    Examples
    --------
    >>> execute([], {}, print)
    {}
    """
    # In a thread of its own: where a notebook or a browser test calls, an event loop is running already.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, _execute(paths, environment, done)).result()


async def _execute(
    paths: Sequence[Path], environment: Mapping[str, str], done: Callable[[Path, Any, float], None]
) -> dict[Path, Exception]:
    import joblib
    from nbclient import NotebookClient

    from toolkit.publish.kernels import ForkedKernels

    cores = joblib.cpu_count()
    at_once = min(cores, len(paths)) or 1
    free = asyncio.Semaphore(at_once)
    # Kernels that run side by side share the cores: joblib's workers inside each would only get in the way.
    shared = {"LOKY_MAX_CPU_COUNT": str(cores // at_once)}
    failed = {}

    async def run(path: Path) -> None:
        async with free:
            start = time.perf_counter()
            notebook = nbformat.read(path, as_version=4)
            resources = {"metadata": {"path": str(path.parent)}}
            client = NotebookClient(
                notebook,
                timeout=600,
                kernel_name="python3",
                kernel_manager_class=ForkedKernels,
                resources=resources,
                record_timing=False,  # times in a cell's metadata would make it another cell to the cache
                extra_arguments=["--log-level=ERROR"],  # it would warn, each time, that it listens on TCP
            )
            try:
                await client.async_execute(env={**os.environ, **QUIET, **shared, **environment})
            except Exception as error:  # told by whoever called, once all have ended
                failed[path] = error
            else:
                done(path, notebook, time.perf_counter() - start)

    await asyncio.gather(*(run(path) for path in paths))
    return failed
