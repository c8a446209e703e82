"""
A spool of version 0.1.0, written byte by byte: every later version delivers it.

When this test fails, do not change the test: rows that wait during an upgrade are in files like
these. ``test_target`` checks the name of the target's directory.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from audit_handler import AuditHandler
from audit_handler._operations import replay as _replay
from audit_handler.clickhouse import ClickHouse
from audit_handler.spool import DiskFiles
from tests.support.loopback import LoopbackClickHouse
from tests.support.verdicts import Verdict, verdict_on

pytestmark = pytest.mark.once

FIRST = "01a208d4-18a9-7e5a-9fcc-0608495bf2bf"
SECOND = "01a208d4-2b11-7c02-8a3d-77aa10c3e5d1"

ROW = (
    '{"writer_id":"%s","seq":%d,"event_time":"2026-11-23 14:34:07.399242",'
    '"event_id":"01a208d4-18a7-7a4f-8c5c-59e90000000%d","level":"INFO","logger":"shop",'
    '"message":"paid o-1","action":"UPDATE","resource_type":"number","resource_id":"%d",'
    '"agent_id":"u-3","ip_address":"10.1.2.3","old_value":{"total":1},'
    '"new_value":{"total":"zw\u00f6lf\\n"},"status_code":201,"outcome":"success",'
    '"service_name":"shop","shelf":"b","metadata":{"shelf":"b"}}\n'
)
# writer, seq, the digit that distinguishes ids, number


def rows(writer: str, first: int, last: int, *, offset: int = 0) -> str:
    return "".join(ROW % (writer, n, n + offset, n + offset) for n in range(first, last + 1))


TREE = {
    f"{FIRST}/lock": "",
    # It was sent and stored, and the acknowledgement did not arrive.
    f"{FIRST}/00000000000000000001.sending": rows(FIRST, 1, 2),
    f"{FIRST}/00000000000000000003.ready": rows(FIRST, 3, 4),
    # Its last call never returned.
    f"{FIRST}/00000000000000000005.open": rows(FIRST, 5, 5) + '{"writer_id":"01a208d4-1',
    # Helper files of an insert.
    f"{FIRST}/part.ndjson": rows(FIRST, 1, 1),
    f"{FIRST}/.part.ndjson.tmp": rows(FIRST, 1, 1)[:100],
    f"{SECOND}/lock": "",
    # It was sent, but did not arrive.
    f"{SECOND}/00000000000000000001.sending": rows(SECOND, 1, 1, offset=5),
    f"{SECOND}/00000000000000000002.open": "",
    f"rejected/{SECOND}-2-2.ndjson": rows(SECOND, 2, 2, offset=5),
    f"rejected/{SECOND}-2-2.error.json": '{"rows": [\n {"seq": 2, "code": 27, "reason": "..."}]}',
}


def test_a_spool_of_version_0_1_is_delivered(
    tmp_path: Path,
    database: str,
    faults: LoopbackClickHouse,
    make_handler: Callable[..., AuditHandler],
) -> None:
    table = f"{database}.audit_logs"
    log = logging.getLogger(database)
    before = make_handler(faults.dsn(database), logger=log.name)
    log.info("first", extra={"action": "CREATE"})
    assert before.close()
    log.removeHandler(before)
    faults.command(f"ALTER TABLE {table} REMOVE TTL")
    faults.command(
        f"INSERT INTO {table} SETTINGS insert_deduplication_token = '{FIRST}:1-2' "
        f"FORMAT JSONEachRow {rows(FIRST, 1, 2)}"
    )
    target = tmp_path / "spool" / before.settings.target.directory_name
    for name, content in TREE.items():
        (target / name).parent.mkdir(exist_ok=True, parents=True)
        (target / name).write_text(content, encoding="utf-8")
    handler = make_handler(faults.dsn(database), logger=log.name)
    assert handler.close()
    clickhouse = ClickHouse(handler.settings.target, create_table=False, async_insert=False)
    replayed = _replay.replay(DiskFiles(), target, clickhouse)
    clickhouse.close()
    log.info("last", extra={"action": "CREATE"})
    assert handler.close()
    columns = "old_value, new_value, metadata, service_name, toString(event_time) AS at"

    assert (1, 0, 0) == (replayed.stored, replayed.known, replayed.refused)
    assert Verdict(
        acknowledged=7, stored=7, lost=0, doubled=0, unacknowledged=0, reported=0
    ) == verdict_on(faults, table, range(1, 8))
    assert [
        {
            "old_value": '{"total":1}',
            "new_value": '{"total":"zw\u00f6lf\\n"}',
            "metadata": '{"shelf":"b"}',
            "service_name": "shop",
            "at": "2026-11-23 14:34:07.399242",
            "n": 7,
        }
    ] == faults.query(
        f"SELECT {columns}, count() AS n FROM {table} WHERE resource_type = 'number' GROUP BY ALL"
    )
    assert ["rejected", "rejected/lock"] == sorted(
        str(path.relative_to(target)) for path in target.rglob("*")
    )
