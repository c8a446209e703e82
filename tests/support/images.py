"""Which Docker images tests can use, without waiting for a network that is not there."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

__all__ = ["can_pull", "is_here", "is_running"]

# A registry answers in a second. A network that drops every packet must not hold up the tests.
TIMEOUT = 10


def is_running() -> bool:
    """Return whether a Docker engine seems to run."""
    return Path("/var/run/docker.sock").exists() or bool(os.environ.get("DOCKER_HOST"))


@cache
def is_here(image: str) -> bool:
    """Return whether the engine has *image*."""
    return is_running() and _finds("get", image)


@cache
def can_pull(image: str) -> bool:
    """Return whether a registry answers for *image*."""
    return is_running() and _finds("get_registry_data", image)


def _finds(method: str, image: str) -> bool:
    import docker
    from docker.errors import DockerException
    from requests import RequestException

    try:
        client = docker.from_env(timeout=TIMEOUT)
        try:
            getattr(client.images, method)(image)
        finally:
            client.close()
    except (DockerException, RequestException):
        return False
    return True
