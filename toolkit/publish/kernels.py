"""How does a chapter's kernel start quickly? As a fork of a process that has imported the large libraries.

That process only imports: no state is computed, no random number drawn in it. Each kernel is a fresh
copy of it, with a namespace, caches and random numbers of its own, and ends with its chapter.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import sys
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

# Not statsmodels, which imports polars, which starts a thread.
IMPORTED = (
    "altair",
    "duckdb",
    "ipykernel.kernelapp",
    "joblib",
    "scipy.optimize",
    "scipy.signal",
    "scipy.stats",
    "sklearn.linear_model",
    "vl_convert",
)


class ForkedKernels(AsyncKernelManager):
    """Jupyter's manager of a kernel; the kernel is a fork, where that is known to work."""

    async def _async_pre_start_kernel(self, **settings: Any) -> tuple[list[str], dict[str, Any]]:
        # Elsewhere than on Linux, some system libraries can't be used in a fork.
        if sys.platform == "linux" and self.provisioner is None:
            self.kernel_id = self.kernel_id or str(uuid.uuid4())
            self.provisioner = _Provisioner(
                kernel_id=self.kernel_id, kernel_spec=self.kernel_spec, parent=self
            )
        return await super()._async_pre_start_kernel(**settings)


class _Provisioner(LocalProvisioner):
    """Starts a kernel as a fork, where Jupyter would start a new Python."""

    async def launch_kernel(self, cmd: list[str], **settings: Any) -> KernelConnectionInfo:
        arguments = cmd[cmd.index("ipykernel_launcher") + 1 :]
        self.cwd = settings["cwd"]
        self.process: Any = _Process(arguments, settings["env"], settings["cwd"])
        self.pid = self.pgid = self.process.pid
        return self.connection_info


class _Process:
    """A process that was forked, with what Jupyter asks of a `subprocess.Popen`."""

    stdin = stdout = stderr = None

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], folder: str) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(list(IMPORTED))
        self._process = context.Process(target=_run, args=(list(arguments), dict(environment), folder))
        self._process.start()
        self.pid = self._process.pid or 0

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self) -> int | None:
        self._process.join()
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)


def _run(arguments: list[str], environment: dict[str, str], folder: str) -> None:
    """Be a kernel, in the fork."""
    import numpy as np
    import pandas as pd
    from ipykernel.kernelapp import IPKernelApp

    os.setsid()  # a signal to a kernel reaches its workers too, and nobody else
    os.environ.clear()
    os.environ.update(environment)
    if sys.path[0] in ("", os.getcwd()):
        del sys.path[0]  # the builder's folder; a kernel puts its own there
    os.chdir(folder)
    # Ours ask at import whether they're in a notebook, and the builder's came along: the chapter's are its own.
    for name in [name for name in sys.modules if name.partition(".")[0] == "toolkit"]:
        del sys.modules[name]
    # Imported without a notebook around it, pandas takes itself to be in a terminal, and leaves columns out.
    pd.set_option("display.max_columns", 20)
    np.random.seed()  # noqa: NPY002 - or all kernels would draw the same numbers where nothing is seeded
    try:
        # It ends by itself once the process that it's a copy of has ended.
        IPKernelApp.launch_instance(arguments, parent_handle=os.getppid())
    finally:
        atexit._run_exitfuncs()  # which a process of multiprocessing leaves out
