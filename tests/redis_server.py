"""How is a Redis server started for a test, on a port of its own, and stopped?"""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REDIS = shutil.which("redis-server")
NEEDS_REDIS = "needs redis-server (on Debian: apt-get install redis-server)"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def redis_server(
    folder: Path, *arguments: str, port: int | None = None
) -> Iterator[tuple[str, subprocess.Popen]]:
    """A running server: its URL, and its process. Nothing is kept on disk unless the arguments say so."""
    assert REDIS is not None, NEEDS_REDIS
    port = port or free_port()
    command = [
        REDIS,
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--dir",
        str(folder),
        *arguments,
    ]
    with open(folder / "redis.log", "ab") as log:
        server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        _wait_for(port, server, folder)
        yield f"redis://127.0.0.1:{port}/0", server
    finally:
        server.kill()
        server.wait()


def _wait_for(port: int, server: subprocess.Popen, folder: Path) -> None:
    for _ in range(200):
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                # While it reads its file back in, it answers -LOADING.
                if connection.recv(100).startswith((b"+PONG", b"-NOAUTH")):
                    return
        except OSError:
            pass
        assert server.poll() is None, (folder / "redis.log").read_text()
        time.sleep(0.02)
    raise AssertionError((folder / "redis.log").read_text())
