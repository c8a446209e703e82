"""
One of two real shards rejects rows that the other one stores. The insert fails as a whole, while
the other shard has stored its share. Each row is stored once, or rejected once.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from audit_handler._operations.replay import Replayed, replay
from audit_handler.clickhouse import ClickHouse
from audit_handler.spool import DiskFiles
from tests.faults.counting import Counting
from tests.faults.staging import Judge
from tests.support.listening.shards import TwoShards

pytestmark = [pytest.mark.once, pytest.mark.timeout(1_800)]

SHARD = "a materialized view or one shard fails after the rows are stored"


@pytest.mark.parametrize("victim", [0, 1], ids=["the front", "the other"])
def test_one_of_two_shards_rejects_rows(
    two_shards: TwoShards,
    make_counting: Callable[..., Counting],
    database: str,
    judge: Judge,
    victim: int,
) -> None:
    app = make_counting(two_shards.dsn(database), cluster="{cluster}", create_table=False)
    table, local = f"{database}.audit_logs", f"{database}.audit_logs_local"
    server = two_shards.servers[victim]
    server.command(f"ALTER TABLE {local} ADD CONSTRAINT no_7 CHECK resource_id NOT LIKE '%7'")
    for number in range(200):
        app.audit(number)
    app.handler.flush(60.0)
    bad = [
        int(row["number"])
        for row in two_shards.query(
            "SELECT number FROM numbers(200) WHERE toString(number) LIKE '%7' "
            f"AND sipHash64(concat('u-', toString(number))) % 2 = {victim}"
        )
    ]
    target = app.handler.settings.target
    spool = app.handler.settings.spool_dir
    assert spool is not None
    rejected = sorted(
        int(json.loads(line)["resource_id"])
        for path in spool.rglob("rejected/*.ndjson")
        for line in path.read_bytes().splitlines()
    )

    assert 0 < len(bad) < 20
    assert bad == rejected
    assert (200 - len(bad), 0) == (
        app.handler.status().rows_stored,
        app.handler.status().rows_waiting,
    )
    which = "the one that the handler inserts into" if victim == 0 else "the other one"
    judge(SHARD, f"{which} rejects rows", two_shards, table, app.acknowledged, reported=bad)

    clickhouse = ClickHouse(target, create_table=False, async_insert=False)
    files, directory = DiskFiles(), spool / target.directory_name
    refused = replay(files, directory, clickhouse)
    server.command(f"ALTER TABLE {local} DROP CONSTRAINT no_7")
    stored = replay(files, directory, clickhouse)
    clickhouse.close()

    assert Replayed(stored=0, known=0, refused=len(bad)) == refused
    assert Replayed(stored=len(bad), known=0, refused=0) == stored
    judge(SHARD, f"{which} is fixed, and a replay", two_shards, table, app.acknowledged)
