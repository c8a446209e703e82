"""
How long a slow disk stops a thread that logs nothing, with and without *hold_gil*.

A thread sleeps for a millisecond at a time, and records how late it wakes up. Beside it, two
threads log full records and one computes, so that logger calls hold the interpreter lock while they
write. The spool is on an ext4 of its own, on a loop device: left alone; throttled to 0.5 MB/s, with
at most 4 MiB of written pages that wait, while the threads log at full speed; and frozen
(``fsfreeze``) for two seconds. Needs Linux and root.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from _measure import (
    close_undelivered,
    closed_port,
    figure,
    full_extras,
    logger_with,
    parser,
    print_note,
    print_table,
    scratch_directory,
    write_report,
)
from logger_call import computing_threads

from audit_handler import AuditHandler

THROTTLE = Path("/sys/fs/cgroup/blkio/blkio.throttle.write_bps_device")
BYTES_A_SECOND = 500_000
WAITING_PAGES = 4 * 1024 * 1024
QUICK, THROTTLED, FROZEN = "left alone", "throttled to 0.5 MB/s", "frozen for 2 s"


def run(*command: str | Path) -> str:
    """Run a command of the system; return its output."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True)  # noqa: S603  # the commands below
    return done.stdout.strip()


@contextmanager
def disk(directory: Path) -> Iterator[tuple[Path, str]]:
    """Yield the directory of a new ext4, and the number of its device."""
    image, mounted = directory / "image", directory / "disk"
    mounted.mkdir()
    with image.open("wb") as file:
        file.truncate(1 << 30)
    run("mkfs.ext4", "-q", image)
    with ExitStack() as stack:
        device = run("losetup", "--find", "--show", image)
        stack.callback(run, "losetup", "--detach", device)
        run("mount", device, mounted)
        stack.callback(run, "umount", mounted)
        number = os.stat(device).st_rdev  # noqa: PTH116  # Path has no st_rdev on all systems
        yield mounted, f"{os.major(number)}:{os.minor(number)}"


@contextmanager
def left_alone(_mounted: Path, _device: str) -> Iterator[None]:
    """Do nothing."""
    yield


@contextmanager
def throttled(_mounted: Path, device: str) -> Iterator[None]:
    """Throttle the device, and the pages that wait for it."""
    pages = Path("/sys/class/bdi") / device
    THROTTLE.write_text(f"{device} {BYTES_A_SECOND}")
    try:
        if (pages / "strict_limit").exists():  # Linux 6.2
            (pages / "strict_limit").write_text("1")
            (pages / "max_bytes").write_text(str(WAITING_PAGES))
        yield
    finally:
        THROTTLE.write_text(f"{device} 0")


@contextmanager
def frozen(mounted: Path, _device: str) -> Iterator[None]:
    """Freeze the file system for two of the seconds."""

    def freeze() -> None:
        time.sleep(1.0)
        run("fsfreeze", "--freeze", mounted)
        try:
            time.sleep(2.0)
        finally:
            run("fsfreeze", "--unfreeze", mounted)

    # A process, because the threads of this one may be stopped while it is frozen.
    child = os.fork()
    if not child:
        try:
            freeze()
        finally:
            os._exit(0)
    try:
        yield
    finally:
        os.waitpid(child, 0)


DISKS: dict[str, Callable[[Path, str], AbstractContextManager[None]]] = {
    QUICK: left_alone,
    THROTTLED: throttled,
    FROZEN: frozen,
}


def lateness(spool: Path, *, hold_gil: bool, seconds: float) -> tuple[list[float], int]:
    """Return how late the ticks were, in milliseconds, and the number of rows that were logged."""
    handler = AuditHandler(
        f"http://127.0.0.1:{closed_port()}",
        spool_dir=spool,
        hold_gil=hold_gil,
        retry_min_ms=60_000,
        retry_max_ms=3_600_000,
    )
    logger = logger_with(handler)
    is_over = threading.Event()
    extras = [full_extras(number) for number in range(1_000)]
    late: list[float] = []

    def log() -> None:
        while not is_over.is_set():
            for extra in extras:
                logger.info("order %s: %s", "paid", "by card", extra=extra)
                if is_over.is_set():
                    break

    def tick() -> None:
        while not is_over.is_set():
            due = time.perf_counter() + 0.001
            time.sleep(0.001)
            late.append((time.perf_counter() - due) * 1e3)

    threads = [threading.Thread(target=work, daemon=True) for work in (log, log, tick)]
    with computing_threads(1):
        for thread in threads:
            thread.start()
        time.sleep(seconds)
        is_over.set()
        for thread in threads:
            thread.join()
    rows = handler.status().rows_emitted
    close_undelivered(handler)
    return sorted(late), rows


def why_not() -> str:
    """Return why the disks cannot be made here; empty if they can."""
    if os.geteuid():
        return "it needs root"
    missing = [name for name in ("mkfs.ext4", "losetup", "fsfreeze") if not shutil.which(name)]
    if missing:
        return f"{', '.join(missing)} is missing"
    if not THROTTLE.exists():
        return f"{THROTTLE} is missing: it needs the first version of cgroups"
    with scratch_directory() as directory:
        try:
            with disk(directory):
                return ""
        except (OSError, subprocess.CalledProcessError) as exc:
            return f"no loop device can be mounted ({exc})"


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--seconds", type=float, default=20.0, help="of each turn")
    arguments = options.parse_args()
    if reason := why_not():
        print_note(f"Not measured on this machine: {reason}.")
        write_report(arguments.output)
        return
    rows = []
    for name, made in DISKS.items():
        for hold_gil in (True, False):
            with (
                scratch_directory() as directory,
                disk(directory) as (mounted, device),
                made(mounted, device),
            ):
                late, logged = lateness(
                    mounted / "spool", hold_gil=hold_gil, seconds=arguments.seconds
                )
            longest = late[-1]
            cells = [f"{late[int(len(late) * share)]:,.1f}" for share in (0.5, 0.99)]
            cells += [f"{longest:,.0f}", str(sum(each > 100.0 for each in late)), f"{logged:,}"]
            rows.append([f"{name}, hold_gil={hold_gil}", *cells])
            figure(f"stop {name} {hold_gil}", longest)
    print_table(
        f"Milliseconds that a thread which logs nothing is late, in {arguments.seconds:.0f} s",
        ["the disk", "p50", "p99", "longest", "over 100 ms", "rows logged"],
        rows,
    )
    write_report(arguments.output)


if __name__ == "__main__":
    main()
