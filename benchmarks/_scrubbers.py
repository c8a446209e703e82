"""
What other libraries hide of an event: gitleaks, detect-secrets, and the scrubber of Sentry's SDK.

All run with their defaults. The first two search files and do not redact: an event is a file for
them, its message as text, its extras as indented JSON, and a text that they find counts as masked.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

from tests.support.redaction.judging import masked

__all__ = ["SCRUBBERS", "Missing", "Scrubbed"]

_PEM = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*-----|\Z)", re.DOTALL)


class Missing(Exception):
    """Raised when a library is not installed, or does not run here."""


@dataclass(frozen=True)
class Scrubbed:
    """What is left of an event, and the texts that were found in it."""

    left: Any
    found: tuple[str, ...] = ()


# Of events and an empty folder: the library with its version, and what is left of each event.
Scrubber: TypeAlias = Callable[[Sequence[Any], Path], "tuple[str, list[Scrubbed]]"]


def gitleaks(events: Sequence[Any], folder: Path) -> tuple[str, list[Scrubbed]]:
    program = shutil.which("gitleaks")
    if program is None:
        raise Missing("gitleaks is not installed")
    files = _write(events, folder / "events")
    report = folder / "report.json"
    options = ["--no-banner", "--exit-code", "0", "--report-format", "json", "--report-path"]
    try:
        number = _output(program, "version")
        _output(program, "dir", str(folder / "events"), *options, str(report))
        findings = json.loads(report.read_text(encoding="utf-8"))
    except (OSError, ValueError, subprocess.SubprocessError) as exc:
        raise Missing(f"gitleaks does not run: {exc}") from exc
    found: dict[str, list[str]] = {}
    for finding in findings:
        found.setdefault(Path(finding["File"]).name, []).append(finding["Secret"])
    scrubbed = zip(events, files, strict=True)
    return f"gitleaks {number}", [_masked(event, found.get(f.name, ())) for event, f in scrubbed]


def detect_secrets(events: Sequence[Any], folder: Path) -> tuple[str, list[Scrubbed]]:
    try:
        from detect_secrets import SecretsCollection
        from detect_secrets.settings import default_settings
    except ImportError as exc:
        raise Missing("detect-secrets is not installed") from exc

    def found(file: Path) -> Iterator[str]:
        collection = SecretsCollection()
        collection.scan_file(str(file))
        text = file.read_text(encoding="utf-8")
        for _, secret in collection:
            yield secret.secret_value
            if secret.type == "Private Key":  # it finds the first line: that counts for the key
                yield from _PEM.findall(text)

    with default_settings():
        files = zip(events, _write(events, folder), strict=True)
        scrubbed = [_masked(event, list(found(file))) for event, file in files]
    return f"detect-secrets {version('detect-secrets')}", scrubbed


def sentry(events: Sequence[Any], folder: Path) -> tuple[str, list[Scrubbed]]:  # noqa: ARG001
    try:
        from sentry_sdk.scrubber import EventScrubber
        from sentry_sdk.utils import AnnotatedValue
    except ImportError as exc:
        raise Missing("sentry-sdk is not installed") from exc

    def plain(value: Any) -> Any:
        if isinstance(value, AnnotatedValue):
            return value.value
        if isinstance(value, dict):
            return {name: plain(item) for name, item in value.items()}
        return [plain(item) for item in value] if isinstance(value, list) else value

    scrubber = EventScrubber(recursive=True)
    scrubbed = []
    for event in events:
        message, extras = (event, {}) if isinstance(event, str) else ("m", deepcopy(event))
        sent: Any = {"logentry": {"message": message}, "extra": extras}
        scrubber.scrub_event(sent)
        scrubbed.append(Scrubbed(plain(sent)))
    return f"Sentry SDK {version('sentry-sdk')}", scrubbed


SCRUBBERS: dict[str, Scrubber] = {
    "gitleaks": gitleaks,
    "detect-secrets": detect_secrets,
    "Sentry SDK": sentry,
}


def _masked(event: Any, found: Iterable[str]) -> Scrubbed:
    """Mask what was *found* in the file of *event*."""
    texts = {text for text in found if text}
    texts |= {_unescaped(text) for text in texts}
    # The longest first: it may include others.
    ordered = tuple(sorted(texts, key=len, reverse=True))
    return Scrubbed(masked(event, ordered), ordered)


def _unescaped(text: str) -> str:
    """Return *text* without the escapes of JSON, if it stands in a JSON string."""
    try:
        return str(json.loads(f'"{text}"', strict=False))
    except ValueError:
        return text


def _write(events: Sequence[Any], folder: Path) -> list[Path]:
    """Write each event to a file of its own in *folder*."""
    folder.mkdir(exist_ok=True)
    files = []
    for number, event in enumerate(events):
        is_text = isinstance(event, str)
        file = folder / f"{number}.{'log' if is_text else 'json'}"
        text = event if is_text else json.dumps(event, indent=2, ensure_ascii=False)
        file.write_text(text + "\n", encoding="utf-8", newline="")
        files.append(file)
    return files


def _output(*command: str) -> str:
    ran = subprocess.run(  # noqa: S603  # found on PATH, run on files that we wrote
        command, check=True, capture_output=True, text=True, timeout=300
    )
    return ran.stdout.strip()
