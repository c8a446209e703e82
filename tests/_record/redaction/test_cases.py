"""Each made-up secret is hidden in the stored row, and each innocent is readable in it."""

from __future__ import annotations

import pytest

from tests.support.redaction_cases import Case, innocents, leaks, secrets, shows, stored

SECRETS = list(secrets())
INNOCENTS = list(innocents())

MISSED: dict[str, str] = {}
"""The secrets that are known to be readable, each with its reason."""

EATEN: dict[str, str] = {}
"""The innocents that are known to be redacted, each with its reason."""


@pytest.mark.parametrize("case", [case for case in SECRETS if str(case) not in MISSED], ids=str)
def test_a_made_up_secret_is_hidden(case: Case) -> None:
    assert not leaks(stored(case.what), case.text)


@pytest.mark.parametrize("case", [case for case in INNOCENTS if str(case) not in EATEN], ids=str)
def test_a_made_up_innocent_is_readable(case: Case) -> None:
    assert shows(stored(case.what), case.text)


def test_the_known_faults_are_still_faults() -> None:
    """A list of faults that nobody needs any longer hides the next one."""
    missed = [case for case in SECRETS if str(case) in MISSED]
    eaten = [case for case in INNOCENTS if str(case) in EATEN]

    assert (len(MISSED), len(EATEN)) == (len(missed), len(eaten))
    assert [] == [str(case) for case in missed if not leaks(stored(case.what), case.text)]
    assert [] == [str(case) for case in eaten if shows(stored(case.what), case.text)]
