"""What other users can do to a spool, tried by other users."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from audit_handler import AuditHandler
from audit_handler._operations.check_spool import check_spool
from audit_handler.cli._dotenv import completed
from audit_handler.cli._output import private_file
from audit_handler.clickhouse._connect import connect
from audit_handler.config import Settings
from audit_handler.spool import (
    DiskFiles,
    RejectedRows,
    adopt_dead_writers,
    neglected_targets,
    rejected,
    spooled_rows,
    waiting,
)
from audit_handler.target import Target
from tests.support.other_users import (
    APPLICATION,
    STRANGER,
    as_user,
    needs_root,
    shared_directory,
)

pytestmark = [pytest.mark.once, needs_root]

OURS = "00000000-0000-7000-8000-0000000000aa"
PLANTED = "00000000-0000-7000-8000-00000000dead"


@pytest.fixture
def shared() -> Iterator[Path]:
    """A directory that every user may write to."""
    yield from shared_directory()


def row_of(writer_id: str) -> bytes:
    return b'{"writer_id":"%s","seq":1,"action":"read"}\n' % writer_id.encode()


def leave_row(target: Path, writer_id: str) -> None:
    """Leave a row as an ended process does."""
    directory = target / writer_id
    directory.mkdir(parents=True, mode=0o700, exist_ok=True)
    for name, content in (("lock", b""), (f"{1:020}.ready", row_of(writer_id))):
        (directory / name).write_bytes(content)
        (directory / name).chmod(0o600)


def adopted(target: Path) -> list[str]:
    found = adopt_dead_writers(DiskFiles(), target)
    for dead, _ in found:
        dead.lock.release()
    return [dead.directory.name for dead, _ in found]


def exported(spool: Path) -> list[Any]:
    return [each.row["writer_id"] for each in spooled_rows(DiskFiles(), spool)]


def open_to_all(path: Path) -> None:
    path.mkdir(parents=True)
    path.chmod(0o777)


def started(spool: Path) -> tuple[str, list[str]]:
    """Start a handler and audit one event; return its error, and what it reported."""
    lines: list[str] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    logging.getLogger("audit_handler.spool").addHandler(Lines())
    try:
        handler = AuditHandler("http://127.0.0.1:1", spool_dir=spool, shutdown_timeout=0.0)
        handler.handle(logging.makeLogRecord({"action": "COUNT"}))
    except Exception as exc:  # its text is what is asked for
        return str(exc), lines
    return "", lines


def refusal(call: Callable[[], object]) -> str:
    try:
        call()
    except OSError as exc:
        return f"{type(exc).__name__}: {exc.strerror}"
    return ""


def test_another_user_can_neither_list_nor_read_nor_plant(shared: Path) -> None:
    spool = shared / "spool"
    assert "" == as_user(APPLICATION, lambda: started(spool))[0]
    (target,) = spool.iterdir()
    (segment,) = target.glob("*/*.open")
    tried: tuple[Callable[[], object], ...] = (
        lambda: list(spool.iterdir()),
        lambda: list(target.iterdir()),
        segment.read_bytes,
        (target / "planted").mkdir,
        segment.unlink,
    )

    assert ["PermissionError: Permission denied"] * len(tried) == [
        as_user(STRANGER, lambda: refusal(each))  # noqa: B023  # called now
        for each in tried
    ]


def test_a_spool_directory_of_another_user_is_used_and_reported(shared: Path) -> None:
    spool = shared / "spool"
    as_user(STRANGER, lambda: open_to_all(spool))
    problem, lines = as_user(APPLICATION, lambda: started(spool))
    settings = Settings.resolve({"dsn": "http://h", "spool_dir": spool}, {})
    findings = as_user(
        APPLICATION, lambda: [each.detail for each in check_spool(settings, DiskFiles())]
    )

    assert "" == problem
    said = f"{spool} belongs to another user, uid {STRANGER}, who can move the rows in it away"
    assert [said] == [line.partition(". ")[0] for line in lines if "another user" in line]
    assert said in findings


def test_the_same_is_said_of_a_link_of_another_user(shared: Path) -> None:
    as_user(APPLICATION, (shared / "own").mkdir)
    as_user(STRANGER, lambda: (shared / "spool").symlink_to(shared / "own"))
    _, lines = as_user(APPLICATION, lambda: started(shared / "spool"))

    assert any(f"belongs to another user, uid {STRANGER}" in line for line in lines)


@pytest.mark.parametrize("kind", ["directory", "link"])
def test_a_target_directory_of_another_user_stops_the_start(shared: Path, kind: str) -> None:
    spool = shared / "spool"
    target = Settings.resolve({"dsn": "http://127.0.0.1:1"}, {}).target
    as_user(APPLICATION, lambda: open_to_all(spool))
    path = spool / target.directory_name
    if kind == "link":
        as_user(APPLICATION, lambda: (shared / "own").mkdir())
        as_user(STRANGER, lambda: path.symlink_to(shared / "own"))
    else:
        as_user(STRANGER, lambda: open_to_all(path))
    problem, _ = as_user(APPLICATION, lambda: started(spool))

    reason = "it is a link" if kind == "link" else f"it belongs to another user, uid {STRANGER}"
    assert f"spool_dir={spool} cannot be used ({path}: {reason}" in problem


def test_a_target_that_a_run_as_root_has_made_stops_the_start_and_is_named(
    shared: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The start ended in a traceback; the check was fine, and the inventory said: no row waits."""
    spool = shared / "spool"
    settings = Settings.resolve({"dsn": "http://127.0.0.1:1", "spool_dir": spool}, {})
    target = spool / settings.target.directory_name
    spool.mkdir(mode=0o777)
    spool.chmod(0o777)
    target.mkdir(mode=0o700)
    leave_row(target, OURS)

    def looked() -> list[str]:
        assert [] == list(waiting(DiskFiles(), spool))
        assert [] == list(rejected(DiskFiles(), spool))
        return [record.getMessage() for record in caplog.records]

    problem, _ = as_user(APPLICATION, lambda: started(spool))
    states = as_user(
        APPLICATION,
        lambda: [(each.state, each.detail) for each in check_spool(settings, DiskFiles())],
    )
    reports = as_user(APPLICATION, looked)

    reason = f"{target}: it belongs to another user, uid 0, and this user may not use it"
    assert f"spool_dir={spool} cannot be used ({reason}; give it to this user" in problem
    ((state, detail),) = states
    assert ("failed", True) == (state, reason in detail)
    assert [f"{target} in the spool cannot be read: Permission denied"] == [
        report.partition(". ")[0] for report in reports
    ]


def test_a_writer_of_a_run_as_root_is_reported(
    shared: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its rows waited without a word."""
    target = shared / "spool" / "target"
    as_user(APPLICATION, lambda: open_to_all(target))
    leave_row(target, OURS)

    def looked() -> list[str]:
        assert [] == adopted(target)
        return [record.getMessage() for record in caplog.records]

    assert [f"{target / OURS} in the spool cannot be read: Permission denied"] == [
        report.partition(". ")[0] for report in as_user(APPLICATION, looked)
    ]


def test_rows_of_another_user_are_not_adopted_or_exported(shared: Path) -> None:
    target = shared / "spool" / "target"
    as_user(APPLICATION, lambda: open_to_all(target))
    as_user(APPLICATION, lambda: leave_row(target, OURS))
    as_user(STRANGER, lambda: leave_row(target, PLANTED))

    assert [OURS] == as_user(APPLICATION, lambda: adopted(target))
    assert [OURS] == as_user(APPLICATION, lambda: exported(shared / "spool"))
    assert [OURS] == exported(shared / "spool"), "root works for the application"


def test_a_file_of_another_user_in_a_directory_of_ours_is_left(shared: Path) -> None:
    target = shared / "spool" / "target"
    as_user(APPLICATION, lambda: open_to_all(target / OURS))
    as_user(STRANGER, lambda: leave_row(target, OURS))

    assert [] == as_user(APPLICATION, lambda: adopted(target))
    assert (target / OURS / f"{1:020}.ready").exists()


def test_a_target_of_another_user_is_not_reported_as_neglected(shared: Path) -> None:
    spool = shared / "spool"
    as_user(APPLICATION, lambda: open_to_all(spool))
    as_user(STRANGER, lambda: leave_row(spool / "planted", PLANTED))

    assert [] == as_user(APPLICATION, lambda: neglected_targets(DiskFiles(), spool / "own"))


def test_a_rejected_directory_of_another_user_is_neither_read_nor_written(shared: Path) -> None:
    target = shared / "target"
    as_user(APPLICATION, lambda: open_to_all(target))
    as_user(STRANGER, lambda: open_to_all(target / "rejected"))

    def write() -> str:
        return refusal(lambda: RejectedRows(DiskFiles(), target).write(OURS, 1, 1, b"{}\n", []))

    said = as_user(APPLICATION, write)
    assert f"ForeignError: it belongs to another user, uid {STRANGER}" in said
    assert [] == list((target / "rejected").iterdir())


def test_an_export_is_private_and_replaces_no_file_of_another_user(shared: Path) -> None:
    def export(name: str) -> None:
        with private_file(shared / name) as file:
            file.write("{}\n")

    as_user(STRANGER, lambda: (shared / "theirs").write_text("theirs"))
    as_user(APPLICATION, lambda: export("ours"))

    assert "another user" in as_user(APPLICATION, lambda: refusal(lambda: export("theirs")))
    assert "theirs" == (shared / "theirs").read_text()
    denied = as_user(STRANGER, lambda: refusal((shared / "ours").read_bytes))
    assert "PermissionError: Permission denied" == denied


def test_a_database_directory_is_private(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine itself is not loaded: it would run in this process from then on."""
    path = shared / "database"

    def not_loaded(*_: object, **__: object) -> None:
        raise OSError("not in this test")

    monkeypatch.setattr("audit_handler.clickhouse._connect._connect", not_loaded)
    target = Target(scheme="chdb", path=str(path))
    as_user(APPLICATION, lambda: refusal(lambda: connect(target, ())))

    assert 0o700 == path.stat().st_mode & 0o777
    assert "PermissionError: Permission denied" == as_user(
        STRANGER, lambda: refusal(lambda: list(path.iterdir()))
    )


def test_a_dotenv_of_another_user_is_ignored(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shared)
    as_user(STRANGER, lambda: Path(".env").write_text("CLICKHOUSE_URL=http://evil\n"))

    def read() -> Any:
        lines: list[str] = []
        return dict(completed({}, has_dsn=False, say=lines.append)), lines

    found, lines = as_user(APPLICATION, read)
    assert {} == found
    assert "it belongs to another user" in lines[0]
