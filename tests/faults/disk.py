"""
A simulated disk: the spool's file operations in memory, to be stopped at any one of them.

What a process did survives it (``kill -9``); of that a power loss takes what was not synced: the
content of a file since the last sync of the file, the entries of a directory (creations, renames,
removals) since the last sync of the directory. What of the unsynced may be there all the same is
the operating system's choice, so `Disk.lose_power` is told which choice to play.
"""

from __future__ import annotations

import errno
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from audit_handler.spool import Files, Found

__all__ = [
    "LOSSES",
    "Crash",
    "Disk",
    "Fault",
    "Loss",
    "Process",
    "SimulatedFiles",
    "Stuck",
    "random_loss",
]


_STEPS_AT_MOST = 20_000
# A hundred times what the longest scenario takes.


class Stuck(BaseException):
    """The process loops for ever. No Exception, so no handler catches it."""


class Crash(BaseException):
    """The process ends here. No Exception, so no handler catches it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens at one step of a process."""

    step: int
    kind: str
    """
    ``kill``: the process ends; ``refuse``: the call raises OSError, and the process lives on;
    ``visit``: another process has its turn before this step.
    """
    done: int = 0
    """
    How many bytes of a write are done before; a refused write then returns that number, and the
    next one raises. -1: the whole step.
    """


class Process:
    """
    One process: counts its steps, and meets its faults.

    Once it is dead each further step raises `Crash`, so that the clean-up code which an exception
    runs, and ``kill -9`` does not, has no effect.

    Args:
        fault: What happens to it, if anything.
        visitor: The other process.
        observer: Called at every moment at which ``kill -9`` would leave something else behind:
            before and after each step, and within a write.
    """

    def __init__(
        self,
        fault: Fault | None = None,
        *,
        visitor: Callable[[], None] | None = None,
        observer: Callable[[], None] | None = None,
    ) -> None:
        self._fault = fault
        self._visitor = visitor
        self._observer = observer
        self._is_disk_full = False
        self.is_dead = False
        self.steps: list[tuple[str, int]] = []
        """What was done: the operation, and for a write its bytes."""

    def step(self, what: str, act: Callable[[], None] = lambda: None) -> None:
        """Do one step."""
        self.write_step(what, 0, lambda _size: act())

    def write_step(self, what: str, size: int, write: Callable[[int], None]) -> int:
        """
        Do one step that can be done in part; return how many bytes were done.

        Args:
            what: What it is called.
            size: The bytes of the whole.
            write: Does the first so many bytes of it; called with more of them, it replaces what it
                did.
        """
        if self.is_dead:
            raise Crash
        if len(self.steps) > _STEPS_AT_MOST:
            raise Stuck(f"no end after {len(self.steps)} steps: {self.steps[-20:]}")
        number = len(self.steps)
        self.steps.append((what, size))
        if self._is_disk_full and size:
            self._is_disk_full = False
            raise OSError(errno.ENOSPC, "No space left on device")
        if self._observer:
            self._observer()
            for part in sorted({1, size // 2, size - 1}) if size > 2 else ():
                write(part)
                self._observer()
        if self._fault and self._fault.step == number:
            done = self._meet(self._fault, size, write)
            if done:
                return done
        write(size)
        if self._observer:
            self._observer()
        return size

    def fail_at(self, fault: Fault | None) -> None:
        """Change what happens to it."""
        self._fault = fault

    def _meet(self, fault: Fault, size: int, write: Callable[[int], None]) -> int:
        if fault.kind == "visit":
            assert self._visitor is not None
            self._visitor()
            return 0
        if fault.done:
            write(size if fault.done == -1 else fault.done)
        if fault.kind == "kill":
            self.die()
            raise Crash
        if fault.done:
            self._is_disk_full = True
            return fault.done
        raise OSError(errno.EIO, "Input/output error")

    def die(self) -> None:
        """``kill -9``."""
        self.is_dead = True


class _File:
    __slots__ = ("content", "holder", "is_linked", "synced")

    def __init__(self) -> None:
        self.content = b""
        self.synced = b""
        self.holder: Process | None = None
        self.is_linked = True

    def empty(self) -> _File:
        copy = _File()
        copy.content, copy.synced = self.content, self.synced
        return copy


class _Directory:
    __slots__ = ("entries", "pending", "synced")

    def __init__(self) -> None:
        self.entries: dict[str, _File | _Directory] = {}
        self.synced: dict[str, _File | _Directory] = {}
        self.pending: list[tuple[str | None, str | None, _File | _Directory]] = []
        """Since the last sync, in order: old name (None: created), new name (None: removed)."""

    def empty(self) -> _Directory:
        return _Directory()

    def change(self, old: str | None, new: str | None, node: _File | _Directory) -> None:
        self.pending.append((old, new, node))
        _apply(self.entries, old, new, node)

    def sync(self) -> None:
        self.synced = dict(self.entries)
        self.pending.clear()


def _apply(
    entries: dict[str, _File | _Directory],
    old: str | None,
    new: str | None,
    node: _File | _Directory,
) -> None:
    if old is not None:
        entries.pop(old, None)
    if new is not None:
        entries[new] = node


@dataclass(frozen=True, slots=True)
class Loss:
    """Which of the unsynced changes a power loss leaves."""

    name: str
    is_kept: Callable[[str | None, str | None], bool]
    """Whether a change of a name (old, new) is kept."""
    content: Callable[[bytes, bytes], bytes]
    """What a file holds, of its synced content and its last one."""


def _synced(synced: bytes, _last: bytes) -> bytes:
    return synced


def _last(_synced: bytes, last: bytes) -> bytes:
    return last


def _zeros(synced: bytes, last: bytes) -> bytes:
    """The length of a file may be on the disk before its blocks are: they read as zeros."""
    return synced + bytes(max(0, len(last) - len(synced)))


def _nothing(_old: str | None, _new: str | None) -> bool:
    return False


def _everything(_old: str | None, _new: str | None) -> bool:
    return True


LOSSES = (
    Loss("all lost", _nothing, _synced),
    Loss("all kept", _everything, _last),
    Loss("names kept, contents lost", _everything, _synced),
    Loss("names kept, contents zero", _everything, _zeros),
    Loss("names lost, contents kept", _nothing, _last),
    Loss("removals kept, the rest lost", lambda _old, new: new is None, _synced),
    Loss("renames lost, the rest kept", lambda old, new: old is None or new is None, _last),
    Loss("creations and renames kept, removals lost", lambda _old, new: new is not None, _last),
)


def random_loss(chance: random.Random) -> Loss:
    """Return a loss that decides about each change for itself."""

    def content(synced: bytes, last: bytes) -> bytes:
        if not last.startswith(synced):
            return chance.choice([synced, last])
        return last[: chance.randint(len(synced), len(last))]

    return Loss("at random", lambda _old, _new: chance.random() < 0.5, content)


class Disk:
    """What outlives processes."""

    def __init__(self, root: _Directory | None = None) -> None:
        self.root = root or _Directory()

    def clone(self) -> Disk:
        """Return a copy, with what is synced and what is not. Nobody holds a lock there."""
        copies: dict[int, _File | _Directory] = {}

        def copied(node: _File | _Directory) -> Any:
            copy = copies.get(id(node))
            if copy is None:
                copy = copies[id(node)] = node.empty()
                if isinstance(node, _Directory):
                    assert isinstance(copy, _Directory)
                    copy.entries = {name: copied(child) for name, child in node.entries.items()}
                    copy.synced = {name: copied(child) for name, child in node.synced.items()}
                    copy.pending = [(old, new, copied(child)) for old, new, child in node.pending]
            return copy

        return Disk(copied(self.root))

    def directory(self, path: Path) -> _Directory:
        """Return a directory; raise FileNotFoundError or NotADirectoryError as a system call."""
        node = self.root
        for part in path.parts[1:]:
            found = node.entries.get(part)
            if not isinstance(found, _Directory):
                kind = FileNotFoundError if found is None else NotADirectoryError
                raise kind(errno.ENOENT, "No such file or directory", str(path))
            node = found
        return node

    def file(self, path: Path) -> _File:
        found = self.directory(path.parent).entries.get(path.name)
        if not isinstance(found, _File):
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(path))
        return found

    def tree(self, path: Path) -> dict[str, bytes]:
        """Return the files below *path* by their relative path; directories have a ``/``."""
        found: dict[str, bytes] = {}

        def look(directory: _Directory, prefix: str) -> None:
            for name, node in directory.entries.items():
                if isinstance(node, _Directory):
                    found[f"{prefix}{name}/"] = b""
                    look(node, f"{prefix}{name}/")
                else:
                    found[prefix + name] = node.content

        look(self.directory(path), "")
        return found

    def unsynced(self) -> list[tuple[str, object]]:
        """Return what a power loss could take, to tell disks apart."""
        found: list[tuple[str, object]] = []

        def look(directory: _Directory, prefix: str) -> None:
            found.append((prefix, [(old, new) for old, new, _ in directory.pending]))
            for name, node in sorted({**directory.synced, **directory.entries}.items()):
                if isinstance(node, _Directory):
                    look(node, f"{prefix}/{name}")
                elif node.synced != node.content:
                    found.append((f"{prefix}/{name}", node.synced))

        look(self.root, "")
        return found

    def lose_power(self, loss: Loss) -> None:
        """Go back to what was synced, but for what *loss* keeps."""

        def look(directory: _Directory) -> None:
            entries = dict(directory.synced)
            for old, new, node in directory.pending:
                # A rename of a name that never came to be is no rename.
                if loss.is_kept(old, new) and (old is None or old in entries):
                    _apply(entries, old, new, node)
            directory.entries = entries
            directory.sync()
            for node in entries.values():
                if isinstance(node, _Directory):
                    look(node)
                else:
                    node.synced = node.content = loss.content(node.synced, node.content)
                    node.is_linked, node.holder = True, None

        look(self.root)


class _SimulatedLock:
    def __init__(self, process: Process, file: _File) -> None:
        self._process = process
        self._file = file

    def release(self) -> None:
        # A closed file is unlocked, whatever the disk says.
        with suppress(OSError):
            self._process.step("unlock")
        if self._file.holder is self._process:
            self._file.holder = None


class SimulatedFiles(Files):
    """The files of one process on a simulated disk."""

    is_durable = True
    held_write = None

    def __init__(
        self, disk: Disk, process: Process, *, inherited: SimulatedFiles | None = None
    ) -> None:
        self._disk = disk
        self._process = process
        self._handles: dict[int, _File] = dict(inherited._handles) if inherited else {}
        self._next_handle: int = inherited._next_handle if inherited else 2

    def make_directory(self, path: Path) -> None:
        for directory in (*reversed(path.parents[:-1]), path):
            parent = self._disk.directory(directory.parent)
            if directory.name not in parent.entries:
                self._process.step(
                    "mkdir", partial(parent.change, None, directory.name, _Directory())
                )

    def names(self, path: Path) -> list[str]:
        self._process.step("list")
        try:
            return sorted(self._disk.directory(path).entries)
        except FileNotFoundError:
            return []

    def found(self, path: Path) -> dict[str, Found]:
        self._process.step("list")
        try:
            entries = self._disk.directory(path).entries
        except FileNotFoundError:
            return {}
        return {
            name: Found(len(entry.content), 0.0)
            for name, entry in entries.items()
            if isinstance(entry, _File)
        }

    def remove_directory(self, path: Path) -> None:
        def remove() -> None:
            if self._disk.directory(path).entries:
                raise OSError(errno.ENOTEMPTY, "Directory not empty", str(path))
            parent = self._disk.directory(path.parent)
            parent.change(path.name, None, parent.entries[path.name])

        self._process.step("rmdir", remove)

    def sync_directory(self, path: Path) -> None:
        self._process.step("sync directory", lambda: self._disk.directory(path).sync())

    def create(self, path: Path) -> int:
        self._process.step("create", lambda: self._create(path))
        return self._handle(self._disk.file(path))

    def write(self, handle: int, data: bytes) -> int:
        file = self._open(handle)
        before = file.content

        def write(size: int) -> None:
            file.content = before + data[:size]

        return self._process.write_step("write", len(data), write)

    def size(self, handle: int) -> int:
        self._process.step("size")
        return len(self._open(handle).content)

    def truncate(self, handle: int, size: int) -> None:
        file = self._open(handle)
        self._process.step("truncate", lambda: _cut(file, size))

    def duplicate(self, handle: int) -> int:
        self._process.step("dup")
        return self._handle(self._open(handle))

    def sync(self, handle: int) -> None:
        self._sync(self._open(handle))

    def close(self, handle: int) -> None:
        self._open(handle)
        self._process.step("close", lambda: self._handles.__delitem__(handle))

    def read(self, path: Path, *, is_synced: bool = False) -> bytes:
        self._process.step("read")
        file = self._disk.file(path)
        if is_synced:
            self._sync(file)
        return file.content

    def cut(self, path: Path, size: int) -> None:
        self._process.step("cut", lambda: _cut(self._disk.file(path), size))

    def modified(self, path: Path) -> float:
        self._process.step("stat")
        self._disk.file(path)
        return 0.0

    def is_own(self, path: Path) -> bool:  # noqa: ARG002  # the protocol's signature
        return True

    def rename(self, old: Path, new: Path) -> None:
        assert old.parent == new.parent, "two directories are not changed in one step"

        def rename() -> None:
            file = self._disk.file(old)
            self._disk.directory(old.parent).change(old.name, new.name, file)

        self._process.step("rename", rename)

    def unlink(self, path: Path) -> None:
        def unlink() -> None:
            file = self._disk.file(path)
            file.is_linked = False
            self._disk.directory(path.parent).change(path.name, None, file)

        self._process.step("unlink", unlink)

    def lock(self, path: Path) -> _SimulatedLock | None:
        # As filelock does: open, flock, and see that the name still means this file.
        def create() -> None:
            if path.name not in self._disk.directory(path.parent).entries:
                self._create(path)

        self._process.step("open lock", create)
        file = self._disk.file(path)
        taken = False

        def lock() -> None:
            nonlocal taken
            if (file.holder is None or file.holder.is_dead) and file.is_linked:
                file.holder = self._process
                taken = True

        self._process.step("lock", lock)
        return _SimulatedLock(self._process, file) if taken else None

    def _create(self, path: Path) -> None:
        directory = self._disk.directory(path.parent)
        if path.name in directory.entries:
            raise FileExistsError(errno.EEXIST, "File exists", str(path))
        directory.change(None, path.name, _File())

    def _sync(self, file: _File) -> None:
        def sync() -> None:
            file.synced = file.content

        self._process.step("sync", sync)

    def _handle(self, file: _File) -> int:
        self._next_handle += 1
        self._handles[self._next_handle] = file
        return self._next_handle

    def _open(self, handle: int) -> _File:
        if self._process.is_dead:
            raise Crash
        try:
            return self._handles[handle]
        except KeyError:
            raise OSError(errno.EBADF, "Bad file descriptor") from None


def _cut(file: _File, size: int) -> None:
    file.content = file.content[:size]
