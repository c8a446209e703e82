"""
Makes a Docker image of the listening server, from this machine's files: no registry is asked.

``make container`` runs it. It needs a running Docker, and chDB in this Python. The image holds this
Python with its standard library, chDB, the shared libraries of both, and this package: 700 MB. Its
directories are those of the official image, so compose files run with it. It is no image of
ClickHouse's makers, and its name and label say so.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

__all__ = ["DIRECTORY", "HTTP_PORT", "IMAGE", "TCP_PORT", "main"]

IMAGE = "audit-handler/chdb-listener:made-here"
LABEL = "chDB's listeners in Python, made by tests/support/listening/image.py; for tests only"
DIRECTORY = "/etc/clickhouse-server"
"""Where a container expects ``config.xml``, ``users.xml`` and ``config.d``."""
DATA = "/var/lib/clickhouse"
HTTP_PORT, TCP_PORT = 8123, 9000

_PACKAGE = Path(__file__).parent
_ROOT = _PACKAGE.parents[2]
_LEFT_OUT = {"site-packages", "test", "idlelib", "ensurepip", "lib2to3", "tkinter", "__pycache__"}


def main() -> None:
    python = os.path.realpath(sys.executable)  # a virtual environment's is a link to its base's
    environment = f"PYTHONHOME={sys.base_prefix} PYTHONPATH={_site_packages()}:{_ROOT}"
    changes = [
        f"ENV {environment}",
        f"LABEL description={LABEL!r}",
        f"EXPOSE {HTTP_PORT} {TCP_PORT}",
        f'ENTRYPOINT ["{python}", "-m", "tests.support.listening.entry"]',
    ]
    options = [option for change in changes for option in ("--change", change)]
    command = ["docker", "import", *options, "-", IMAGE]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as docker:
        assert docker.stdin is not None
        _write(docker.stdin, python)
    if docker.returncode:
        sys.exit(f"{' '.join(command[:2])} failed with {docker.returncode}")


def _write(output: IO[bytes], python: str) -> None:
    """Write the image's files as an archive. Each has the path that it has on this machine."""
    parts = [
        Path(python),
        Path(sysconfig.get_path("stdlib")),
        _site_packages() / "chdb",
        _PACKAGE,
        *(directory / "__init__.py" for directory in _PACKAGE.parents[:2]),
    ]
    with tarfile.open(fileobj=output, mode="w|", dereference=True) as archive:
        for part in parts:
            archive.add(part, filter=_without_what_no_server_needs)
        for library in sorted(_libraries(parts)):
            if not any(Path(library).is_relative_to(part) for part in parts):
                archive.add(library)
        for directory in ("/tmp", DIRECTORY, DATA):
            entry = tarfile.TarInfo(directory)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777
            archive.addfile(entry)
        link = tarfile.TarInfo(f"{DIRECTORY}/data")  # where server.py puts the data
        link.type, link.linkname = tarfile.SYMTYPE, DATA
        archive.addfile(link)


def _site_packages() -> Path:
    chdb = importlib.util.find_spec("chdb")
    if chdb is None or chdb.origin is None:
        sys.exit("chDB is not installed in this Python")
    return Path(chdb.origin).parents[1]


def _without_what_no_server_needs(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if Path(entry.name).name in _LEFT_OUT else entry


def _libraries(parts: Iterable[Path]) -> set[str]:
    """Return the shared libraries that the programs and modules of *parts* load."""
    found = subprocess.run(
        ["ldd", *_programs(parts)], capture_output=True, text=True, check=False
    )  # it fails if one of them is static
    return {os.path.normpath(path) for path in re.findall(r"(/\S+) \(0x", found.stdout)}


def _programs(parts: Iterable[Path]) -> Iterator[str]:
    for part in parts:
        if part.is_dir():
            yield from map(str, part.rglob("*.so"))
        elif part.suffix != ".py":
            yield str(part)


if __name__ == "__main__":
    main()
