"""Errors say what happened and what to do, and keep that through a pickle."""

from __future__ import annotations

import pickle

import pytest

from audit_handler import errors
from audit_handler.errors import (
    AuditHandlerError,
    ConfigurationError,
    DataError,
    DeliveryError,
    SpoolError,
    TransientError,
)


@pytest.mark.parametrize("name", errors.__all__)
def test_one_except_clause_catches_every_error(name: str) -> None:
    assert issubclass(getattr(errors, name), AuditHandlerError)


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("SpoolFull", SpoolError),
        ("RejectedFull", SpoolError),
        ("SpoolUnavailable", SpoolError),
        ("SpoolUnsynced", SpoolError),
        ("SpoolClosed", SpoolError),
        ("TransientError", DeliveryError),
        ("SetupError", DeliveryError),
        ("DataError", DeliveryError),
        ("ConfigurationError", ValueError),
    ],
)
def test_an_error_belongs_to_a_family(name: str, family: type[Exception]) -> None:
    assert issubclass(getattr(errors, name), family)


def test_a_delivery_error_shows_problem_and_remedy_in_one_sentence() -> None:
    error = DeliveryError("the table is unknown.", code=60, remedy="run audit-handler init")

    assert "the table is unknown; run audit-handler init" == str(error)
    assert ("the table is unknown.", 60) == (error.problem, error.code)


def test_a_delivery_error_without_a_remedy_shows_the_problem_alone() -> None:
    assert "too many parts" == str(DeliveryError("too many parts"))


def test_a_transient_error_is_ambiguous_unless_it_says_otherwise() -> None:
    """Ambiguous rows are looked up before they are sent again, the safe way."""
    certain = TransientError("refused", is_ambiguous=False)

    assert (True, False) == (TransientError("reset").is_ambiguous, certain.is_ambiguous)


def test_a_data_error_says_which_row_is_bad_if_it_is_known() -> None:
    assert (None, 3) == (DataError("bad").row, DataError("bad", row=3).row)


def test_a_configuration_error_carries_its_option() -> None:
    error = ConfigurationError("fsync='x' is unknown", option="fsync")

    assert ("fsync", None) == (error.option, ConfigurationError("no option in it").option)


def test_a_configuration_error_keeps_its_option_in_a_pickle() -> None:
    error = ConfigurationError("fsync='x' is unknown", option="fsync")

    copy = pickle.loads(pickle.dumps(error))

    assert (str(error), "fsync") == (str(copy), copy.option)
