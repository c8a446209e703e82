"""Code that runs as another user: a forked child that has given up root."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

__all__ = ["APPLICATION", "STRANGER", "as_user", "needs_root", "shared_directory"]

APPLICATION, STRANGER = 65_533, 65_532
"""Users that no system has, and groups of the same numbers."""

needs_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become another user"
)


def as_user(uid: int, call: Callable[[], Any]) -> Any:
    """
    Return the result of *call*, which must fit JSON, from a child of the user *uid*.

    The child has the modules of this process only: it may be unable to read any others.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reader)
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            os.umask(0o022)
            said = json.dumps({"result": call()})
        except BaseException:  # it ends here
            said = json.dumps({"failed": traceback.format_exc()})
        with os.fdopen(writer, "w") as stream:
            stream.write(said)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as stream:
        answer = json.loads(stream.read() or '{"failed": "the child died"}')
    os.waitpid(child, 0)
    assert "failed" not in answer, answer["failed"]
    return answer["result"]


def shared_directory() -> Iterator[Path]:
    """Yield a directory that everyone may write to, as ``/tmp``; pytest's own is root's."""
    path = Path(tempfile.mkdtemp(prefix="audit-shared-"))
    path.chmod(0o1777)
    yield path
    shutil.rmtree(path)
