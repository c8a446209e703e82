"""
Public audit events, read from checkouts of the repositories that hold them.

None of them is part of this project: whoever wants to measure clones the repositories.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from _measure import print_table

from tests.support.redaction.differences import Taken, taken
from tests.support.redaction_cases import stored

__all__ = ["measure"]

# The most that the handler allows: what is cut cannot be compared.
_MAX_VALUE_BYTES = 1024 * 1024
# Of one name: more of them would look alike.
_LISTED_VALUES = 40
_LISTED_LETTERS = 120
# A log file of OCSF's examples may hold thousands of lines of one kind.
_MOST_LINES = 200


@dataclass(frozen=True)
class Source:
    """One repository, and how its events are read."""

    name: str
    patterns: tuple[str, ...]
    """Names that its checkout may have in the folder."""

    read: Callable[[Path], Iterator[Any]]
    """Yield the events of a checkout: objects, or lines of text."""

    def checkout(self, folder: Path) -> Path | None:
        """Return the checkout in *folder*, or None."""
        for pattern in self.patterns:
            for found in sorted(folder.glob(pattern)):
                if found.is_dir():
                    return found
        return None


def _panther(checkout: Path) -> Iterator[Any]:
    """Yield the log events with which the rules are tested."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for file in sorted(checkout.rglob("*.yml")):
        try:
            # The loader is a safe one. A few files hold templates, which are no YAML.
            rule = yaml.load(file.read_text(encoding="utf-8"), Loader=loader)  # noqa: S506
        except (OSError, ValueError, yaml.YAMLError):
            continue
        tests = rule.get("Tests") if isinstance(rule, dict) else None
        for test in tests or []:
            if isinstance(test, dict) and test.get("Log"):
                yield json.loads(json.dumps(test["Log"], default=str))  # YAML knows dates


def _stratus(checkout: Path) -> Iterator[Any]:
    """Yield the CloudTrail events that each attack leaves."""
    for file in sorted(checkout.glob("docs/detonation-logs/*.json")):
        yield from _documents(file)


def _ocsf(checkout: Path) -> Iterator[Any]:
    """Yield raw and translated events; a file that is not JSON holds one event in each line."""
    suffixes = (".json", ".jsonl", ".log", ".txt", ".csv")
    for file in sorted(checkout.rglob("*")):
        if file.suffix not in suffixes or not file.is_file():
            continue
        if found := list(_documents(file)):
            yield from found
        else:
            lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
            yield from (line for line in lines[:_MOST_LINES] if line.strip())


def _sekoia(checkout: Path) -> Iterator[Any]:
    """Yield the raw messages with which the parsers are tested."""
    for file in sorted(checkout.rglob("tests/*.json")):
        for test in _documents(file):
            message = (test.get("input") or {}).get("message") if isinstance(test, dict) else None
            if isinstance(message, str) and message:
                yield message


def _documents(file: Path) -> Iterator[Any]:
    """Yield the JSON document in *file*, or the parts of one that is a list."""
    try:
        read = json.loads(file.read_text(encoding="utf-8", errors="replace"))
    except ValueError:
        return
    yield from read if isinstance(read, list) else [read]


SOURCES = (
    Source("panther-analysis", ("*panther-analysis",), _panther),
    Source("stratus-red-team", ("*stratus-red-team",), _stratus),
    Source("ocsf/examples", ("*ocsf*examples", "ocsf/examples", "examples"), _ocsf),
    Source("intake-formats", ("*intake-formats",), _sekoia),
)


def measure(folder: Path) -> None:
    """Redact the public events in *folder*, print figures, and list the values in a file."""
    rows, found = [], []
    for source in SOURCES:
        checkout = source.checkout(folder)
        if checkout is None:
            rows.append([source.name, "not there", "", ""])
            continue
        events = list(source.read(checkout))
        of_source = [(source.name, each) for event in events for each in _taken(event)]
        paths = {each.path for _, each in of_source}
        rows.append([source.name, f"{len(events):,}", f"{len(of_source):,}", f"{len(paths):,}"])
        found += of_source
    print_table("Public events", ["repository", "events", "values redacted", "key paths"], rows)
    with tempfile.NamedTemporaryFile(
        "w", prefix="redacted-values-", suffix=".txt", delete=False, encoding="utf-8"
    ) as listing:
        listing.writelines(f"{line}\n" for line in _listing(found))
    print(f"\nThe redacted values, for you to judge: {listing.name}")


def _taken(event: Any) -> Iterable[Taken]:
    """Return the values that redaction takes out of *event*: a line is a message."""
    if isinstance(event, str):
        return taken(event, stored(event, max_value_bytes=_MAX_VALUE_BYTES)["message"])
    row = stored({"x": event}, max_value_bytes=_MAX_VALUE_BYTES)
    return taken(event, row["metadata"]["x"])


def _listing(found: Sequence[tuple[str, Taken]]) -> Iterator[str]:
    """Yield *found* by name, the most frequent name first, equal values once."""
    by_name: dict[str, Counter[tuple[str, str, str]]] = {}
    for source, each in found:
        value = repr(each.value)[:_LISTED_LETTERS]
        path = ".".join(each.path)
        where = f"{path[-60:]} {each.before!r}" if each.before else path[-100:]
        by_name.setdefault(_name(each), Counter())[source, where, value] += 1
    for name, values in sorted(by_name.items(), key=lambda pair: -pair[1].total()):
        yield f"## {name}: {values.total()} values, {len(values)} different"
        for (source, where, value), count in values.most_common(_LISTED_VALUES):
            yield f"  {count:5}  {source:17} {where}  {value}"


def _name(each: Taken) -> str:
    """Return the name in front of the value: the last of the path, or the end of the text."""
    if not each.before:
        names = [name for name in each.path if name not in ("[]", "~", "{}")]
        return names[-1] if names else "(whole text)"
    words = re.findall(r"[\w.-]+", each.before)
    return f"text after {words[-1] if words else each.before!r}"
