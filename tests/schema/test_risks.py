"""Engines that lose rows are told from those that keep every row."""

from __future__ import annotations

import pytest

from audit_handler.schema import engine_risk, sharding_risk

MERGES = "makes one row of those with the same sorting key"


@pytest.mark.parametrize(
    ("engine", "said"),
    [
        (
            "ReplacingMergeTree PARTITION BY x ORDER BY (a, b) SETTINGS index_granularity = 1",
            MERGES,
        ),
        ("ReplicatedSummingMergeTree('/a', '{replica}') ORDER BY seq", MERGES),
        ("SharedAggregatingMergeTree ORDER BY agent_id TTL event_id", MERGES),
        ("CollapsingMergeTree(sign) ORDER BY agent_id", MERGES),
        ("Buffer('d', 't', 1, 1, 1, 1, 1, 1, 1)", "a crash of ClickHouse loses them"),
        ("Memory", "a restart of ClickHouse loses them"),
        ("`Null`", "keeps no rows"),
        ("TinyLog", "neither recognises a repeated insert"),
        ("StripeLog", "neither recognises a repeated insert"),
    ],
)
def test_an_engine_that_loses_rows_is_a_risk(engine: str, said: str) -> None:
    risk = engine_risk(engine)

    assert risk is not None
    assert said in risk.what
    assert risk.remedy


@pytest.mark.parametrize(
    "engine",
    [
        "",
        "MergeTree ORDER BY (event_date, agent_id)",
        "ReplicatedMergeTree('/a', '{replica}') ORDER BY agent_id",
        "ReplacingMergeTree(event_time) ORDER BY (event_date, event_id)",
        "ReplacingMergeTree ORDER BY (writer_id, seq) SETTINGS index_granularity = 8192",
        "Distributed('c', 'd', 't', sipHash64(agent_id))",
    ],
)
def test_an_engine_that_keeps_every_row_is_no_risk(engine: str) -> None:
    assert engine_risk(engine) is None


@pytest.mark.parametrize(
    "key",
    [
        "rand()",
        "rand64(agent_id)",
        "cityHash64(agent_id, now())",
        "toUnixTimestamp(ingested_at)",
        "generateUUIDv4()",
        "rowNumberInAllBlocks()",
    ],
)
@pytest.mark.parametrize("rest", ["", ", 'policy'", ") SETTINGS fsync_after_insert = 1, a = (1"])
def test_a_sharding_key_that_differs_each_time_is_a_risk(key: str, rest: str) -> None:
    risk = sharding_risk(f"Distributed('c', 'd', 't', {key}{rest})")

    assert risk is not None
    assert f"distributes rows by {key}: " in risk.what


@pytest.mark.parametrize(
    "engine",
    [
        "Distributed('c', 'd', 't')",
        "Distributed('c', 'rand()', 't')",
        "Distributed('c', 'd', 't', sipHash64(agent_id))",
        "Distributed('c', 'd', 't', cityHash64(grand_total), 'rand()')",
        "MergeTree ORDER BY rand()",
    ],
)
def test_a_sharding_key_of_the_row_is_no_risk(engine: str) -> None:
    assert sharding_risk(engine) is None
