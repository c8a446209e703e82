"""Options that the driver does not accept are named, and their values are not shown."""

from __future__ import annotations

from typing import Any

import pytest

from audit_handler.errors import DeliveryError, SetupError
from tests.support.loopback import LoopbackClickHouse
from tests.support.tables import Connect, rows

pytestmark = pytest.mark.once


def test_an_option_that_the_driver_does_not_know_is_named(
    connect: Connect, faults: LoopbackClickHouse
) -> None:
    with pytest.raises(SetupError, match=r"client_options.*no_such_option"):
        connect(faults.dsn(), client_options={"no_such_option": 1}).insert(rows(1), token="t")


@pytest.mark.parametrize(
    "options",
    [
        {"access_token": "t0p-s3cr3t\n"},
        {"headers": {"X-Key": "t0p-s3cr3t\n"}},
        {"http_proxy": "http://bob:t0p-s3cr3t@[127.0.0.1"},
    ],
    ids=["token", "header", "proxy"],
)
def test_an_option_that_the_driver_rejects_is_not_quoted(
    connect: Connect, faults: LoopbackClickHouse, options: dict[str, Any]
) -> None:
    """A token that was read from a file, with its line end, appeared in the log."""
    with pytest.raises(DeliveryError) as caught:
        connect(faults.dsn(), client_options=options).insert(rows(1), token="t")

    assert "t0p-s3cr3t" not in str(caught.value)
