"""
Measure what redaction hides and what it keeps, beside other libraries: ``make redaction``.

The cases are the made-up secrets and innocents of tests/support/redaction. The figures are printed,
and written to the end of docs/REDACTION.md. With ``--events FOLDER``, public audit events are
redacted too: the values that were taken out of them are written to a temporary file, because only
a person can tell which of them were secrets.

Without tox: ``PYTHONPATH=. python benchmarks/redaction.py``
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from _measure import print_table, scratch_directory
from _public_events import measure
from _scrubbers import SCRUBBERS, Missing, Scrubbed

from tests.support.redaction_cases import Case, What, innocents, leaks, secrets, shows, stored

PAGE = Path(__file__).resolve().parents[1] / "docs" / "REDACTION.md"
BEGIN, END = "<!-- written by make redaction -->", "<!-- end of the part by make redaction -->"
OURS = "audit-handler"

EXPLAINED = """\
## Figures

`make redaction` writes this section. It makes an environment of its own for the other libraries,
and leaves out those that it cannot install. The cases are in `tests/support/redaction/`, by kind.
Their values are made at run time from fixed seeds: each run gives the same figures.

- A **secret is hidden** if neither the secret nor half of it can be read in the stored row, in
  names too, also after the escapes of JSON, URLs and HTML are removed.
- An **innocent is kept** if it can be read in the row as it was.
- audit-handler runs with its defaults, and one key in `redact_keys`. The others run with their
  defaults; Sentry's scrubber with `recursive=True`.
- gitleaks and detect-secrets only search. They read a message as text, and extras as indented JSON.
  A secret counts as hidden if they find it or a part of it; an innocent is lost if they find a part
  of it.

We wrote the cases, and our rules were made for their kinds. The others were made to find secrets in
source code, or to remove known names from error reports: the table shows what they do to audit
events, not how good they are.

`make redaction EVENTS=folder` also redacts public audit events, if clones of `panther-analysis`,
`stratus-red-team`, `ocsf/examples` or `intake-formats` are in that folder. It prints how many
values it took out, and writes them to a temporary file: read it to judge which were secrets.
"""


class Table(NamedTuple):
    """Figures of all libraries, a row for each group."""

    title: str
    headers: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> Iterator[str]:
        yield from (f"### {self.title}", "", f"| {' | '.join(self.headers)} |")
        yield "|---|" + "---:|" * (len(self.headers) - 1)
        yield from (f"| {' | '.join(row)} |" for row in self.rows)
        yield ""


class Good(NamedTuple):
    """The cases that one library treats as it should, counted by group."""

    library: str
    hidden: Counter[str]
    kept: Counter[str]


class Cases(NamedTuple):
    """The secrets to hide, and the innocents to keep."""

    secrets: list[Case]
    innocents: list[Case]

    def judged(self, library: str, scrubbed: Sequence[Scrubbed | None]) -> Good:
        """Judge what is left of all events, first of the secrets'; None is an event lost."""
        pairs = list(zip((*self.secrets, *self.innocents), scrubbed, strict=True))
        of_secrets, of_innocents = pairs[: len(self.secrets)], pairs[len(self.secrets) :]
        return Good(
            library,
            Counter(case.group for case, left in of_secrets if left and _hides(left, case.text)),
            Counter(
                case.group for case, left in of_innocents if left and shows(left.left, case.text)
            ),
        )


def main() -> int:
    """Measure, print, and write the page; return 1 if our own handler lost a row."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--events", type=Path, help="a folder with checkouts of public events")
    parser.add_argument("--cases", type=int, help="only so many of each kind; writes no page")
    parser.add_argument("--page", type=Path, default=PAGE, help="write the figures to this page")
    arguments = parser.parse_args()
    cases = Cases(list(secrets())[: arguments.cases], list(innocents())[: arguments.cases])
    events = [case.what for case in (*cases.secrets, *cases.innocents)]
    ours = [_ours(event) for event in events]
    good, missing = [cases.judged(OURS, ours)], []
    for name, scrub in SCRUBBERS.items():
        try:
            with scratch_directory() as folder:
                good.append(cases.judged(*scrub(events, folder)))
        except Missing as exc:
            missing.append(f"Without {name}: {exc}.")
    tables = list(_tables(cases, good))
    for table in tables:
        print_table(*table)
    print("", *missing, sep="\n")
    if arguments.events:
        measure(arguments.events)
    if arguments.cases is None:
        _write_section(arguments.page, missing, tables)
        print(f"wrote {arguments.page}")
    return 1 if None in ours else 0


def _ours(event: What) -> Scrubbed | None:
    try:
        return Scrubbed(stored(event))
    except Exception as exc:  # noqa: BLE001  # reported; a lost row hides nothing
        print(f"no row of {event!r:.80}: {exc!r}", file=sys.stderr)
        return None


def _hides(scrubbed: Scrubbed, secret: str) -> bool:
    found = any(text in secret or secret in text for text in scrubbed.found)
    return found or not leaks(scrubbed.left, secret)


def _tables(cases: Cases, good: Sequence[Good]) -> Iterator[Table]:
    kinds = (
        ("Secrets hidden", cases.secrets, [each.hidden for each in good]),
        ("Innocents kept", cases.innocents, [each.kept for each in good]),
    )
    libraries = [each.library for each in good]
    sums = [
        [f"{title.lower()}, of {len(listed)}", *(_share(c.total(), len(listed)) for c in counts)]
        for title, listed, counts in kinds
    ]
    yield Table("Altogether", ["", *libraries], sums)
    for title, listed, counts in kinds:
        sizes = Counter(case.group for case in listed)
        rows = [
            [group, str(size), *(str(counted[group]) for counted in counts)]
            for group, size in sizes.items()
        ]
        yield Table(f"{title}, by kind", ["kind", "cases", *libraries], rows)


def _share(count: int, of: int) -> str:
    return f"{count} ({count * 100 // of} %)"


def _write_section(page: Path, missing: Sequence[str], tables: Sequence[Table]) -> None:
    """Write the figures to *page*, in place of those that it has, or at its end."""
    lines = [BEGIN, EXPLAINED, *missing, *([""] if missing else [])]
    for table in tables:
        lines.extend(table.markdown())
    section = "\n".join([*lines, END])
    text = page.read_text(encoding="utf-8") if page.exists() else "# Redaction\n"
    before, found, rest = text.partition(BEGIN)
    after = rest.partition(END)[2] if found else ""
    parts = [part.strip() for part in (before, section, after)]
    page.write_text("\n\n".join(filter(None, parts)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
