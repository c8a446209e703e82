"""Engines that lose rows are told from those that keep every row."""

from __future__ import annotations

import pytest

from audit_handler.schema import engine_risk

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
