"""A few seconds of the soak, which show that it works before an hour of it is run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.soak import soak
from tests.support.verdicts import report

pytestmark = pytest.mark.once


@pytest.mark.timeout(300)
def test_applications_and_server_that_die_at_random_leave_everything_whole(tmp_path: Path) -> None:
    outcome = soak(seconds=4, seed=20261123, applications=2, directory=tmp_path)

    assert outcome.is_good, outcome
    assert outcome.done["kill -9 of an application"] > 0
    assert outcome.verdict.acknowledged > 0
    report("everything at once", f"a soak, seed {outcome.seed}", outcome.verdict)
