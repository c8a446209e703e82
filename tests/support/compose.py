"""
The compose files of ``examples/compose``, run as a user runs them.

They run the official image if Docker has it or can pull it, else the one of ``make container``,
which knows the same environment, directories and ``config.d``.
"""

from __future__ import annotations

import fcntl
import json
import os
import resource
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest
import yaml

from tests.support import images
from tests.support.containers import IMAGE as OFFICIAL
from tests.support.listening import image
from tests.support.listening.asked import Asked
from tests.support.listening.config import User
from tests.support.paths import EXAMPLES

__all__ = ["COMPOSE", "Project", "running"]

COMPOSE = EXAMPLES / "compose"
PORT = 8123
# The files ask for as many open files as ClickHouse recommends. A machine may allow fewer.
RECOMMENDED_FILES = 262_144


class Project(Asked):
    """
    One compose file, under a name of its own; its first server is asked.

    Args:
        file: Its name in `COMPOSE`.
        environment: The variables that the file needs.
        directory: For a file that replaces image and limits where this machine needs it.
    """

    def __init__(self, file: str, environment: dict[str, str], directory: Path) -> None:
        self.port = PORT
        self.admin = User(
            name="audit_admin", password=environment["CLICKHOUSE_PASSWORD"], grants=()
        )
        self._environment = {**os.environ, **environment}
        replaced = directory / "replaced.yaml"
        services = yaml.safe_load((COMPOSE / file).read_text())["services"]
        replaced.write_text(json.dumps({"services": dict.fromkeys(services, _replaced())}))
        files = ["-f", str(COMPOSE / file), "-f", str(replaced)]
        self._command = [*_compose(), "-p", f"audit{os.getpid()}", *files]

    def up(self) -> None:
        """Create and start the servers, and return when the first one answers."""
        self.restart()

    def down(self, *, with_data: bool) -> None:
        """Remove the servers; their volumes only *with_data*."""
        self._run("down", *(["--volumes"] if with_data else []))

    @property
    def is_running(self) -> bool:
        return bool(self._run("ps", "-q"))

    @property
    def exit_code(self) -> int | None:
        return None  # of several servers

    def restart_without_waiting(self) -> None:
        self._run("up", "-d")

    def kill(self) -> None:
        self._run("kill")

    def said(self) -> str:
        return self._run("logs")

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self._command, *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert 0 == done.returncode, done.stderr
        return done.stdout


def _require_compose() -> None:
    if not images.is_running():
        pytest.skip("no Docker runs (DOCKER_HOST)")
    if not _compose():
        pytest.skip("Docker Compose is not installed")
    if not (_has_official() or images.is_here(image.IMAGE)):
        pytest.skip(f"Docker has neither {OFFICIAL} nor {image.IMAGE}: make container")


@contextmanager
def running(file: str, environment: dict[str, str], directory: Path) -> Iterator[Project]:
    """
    Start *file* for the block, alone: all of them publish the same port of this machine.

    Skips the test if Docker Compose cannot run it here.
    """
    _require_compose()
    with Path(tempfile.gettempdir(), "audit-handler-compose.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _is_taken(PORT):
            pytest.skip(f"another program listens on port {PORT}")
        project = Project(file, environment, directory)
        try:
            project.up()
            yield project
        finally:
            project.down(with_data=True)


@cache
def _compose() -> Sequence[str]:
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) and not _fails([*command, "version"]):
            return command
    return []


def _fails(command: Sequence[str]) -> bool:
    return bool(subprocess.run(command, capture_output=True, timeout=60).returncode)


def _has_official() -> bool:
    return images.is_here(OFFICIAL) or images.can_pull(OFFICIAL)


def _replaced() -> dict[str, object]:
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if allowed == resource.RLIM_INFINITY:
        allowed = RECOMMENDED_FILES
    files = min(RECOMMENDED_FILES, allowed)
    return {
        "image": OFFICIAL if _has_official() else image.IMAGE,
        "ulimits": {"nofile": {"soft": files, "hard": files}},
    }


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
