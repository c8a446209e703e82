"""
``kill -9`` of the ClickHouse server while it is being inserted into, over and over.

``make faults`` runs 100 kills; ``AUDIT_FAULT_TRIALS`` says how many.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tests.faults.staging import Application, Judge, Lines, trials
from tests.support.loopback import LoopbackClickHouse

pytestmark = pytest.mark.once

ROW = "kill -9 of the server during an insert"
PHASES = ("received", "executed", "finished")


@pytest.mark.parametrize("window", [10_000, 0], ids=["tokens", "no tokens"])
@pytest.mark.timeout(1_800)
def test_the_server_is_killed_while_it_inserts(
    own_server: LoopbackClickHouse,
    make_application: Callable[..., Application],
    lines: Lines,
    judge: Judge,
    window: int,
) -> None:
    """
    One application goes on logging while its server is killed and started again.

    Each kill is noticed: one warning follows it, and one line says when rows are taken again.
    """
    kills = trials(5) if window else max(3, trials(5) // 4)
    chance = random.Random(20261123)  # the same moments in every run
    app = make_application(own_server, batch_size=50)
    app.audit(1)
    assert app.handler.flush()
    own_server.command(
        f"ALTER TABLE {app.table} MODIFY SETTING non_replicated_deduplication_window = {window}"
    )
    unfinished = 0
    for kill in range(1, kills + 1):
        # From the second insert on: the first one that succeeds ends the trouble before it.
        own_server.forget_requests()
        app.audit(500)
        own_server.wait_for_request(
            app.insert, count=chance.randrange(2, 6), phase=chance.choice(PHASES)
        )
        unfinished += any(entry["phase"] != "finished" for entry in app.inserts())
        own_server.kill()
        app.audit(100)
        lines.wait("does not accept rows", kill)
        own_server.restart()
        lines.wait("accepts rows again", kill)
    assert app.handler.flush(120.0)
    app.audit(100)
    assert app.handler.flush()

    assert kills == len(lines.matching("does not accept rows"))
    assert app.handler.status().retries >= kills
    fault = f"{'with' if window else 'without'} tokens, {unfinished} with an insert under way"
    judge(ROW, fault, own_server, app.table, app.acknowledged, trials=kills)
