"""``show``: one event in full."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable

import click
from rich.text import Text

from audit_handler.cli._connections import reading
from audit_handler.cli._filters import event_id
from audit_handler.cli._options import as_json, settings_options
from audit_handler.cli._output import console, echo_json, safe, text_of
from audit_handler.config import Settings

__all__ = ["show"]


@click.command()
@settings_options()
@click.argument("id_", metavar="EVENT_ID")
@as_json
def show(settings: Settings, id_: str, is_json: bool) -> None:
    """
    Show one event in full.

    Prints every column that has a value, and the differences between the old and the new value.

    EVENT_ID is the id that search and tail print. Exit code 1 if there is no such event.
    """
    wanted = event_id(id_)
    with reading(settings) as trail:
        event = trail.event(wanted)
    if event is None:
        raise click.ClickException(f"there is no event {wanted} in {settings.target}")
    if is_json:
        echo_json(event)
        return
    out = console()
    for name, value in event.items():
        if name in ("old_value", "new_value") or value in ("", 0, "::", "{}"):
            continue
        head = f"{safe(name):17}"
        for line in _pretty(text_of(value)).splitlines():
            out.print(Text.assemble((head, "bold"), safe(line)), soft_wrap=True)
            head = f"{'':17}"
    for changed in _change(event["old_value"], event["new_value"]):
        out.print(changed, soft_wrap=True)


def _change(old: str, new: str) -> Iterable[Text]:
    """Yield the lines of both values; lines that only one of them has are coloured."""
    if not (old or new):
        return
    yield Text("\nold value -> new value", "bold")
    styles = {"-": "red", "+": "green"}
    for line in difflib.ndiff(_pretty(old).splitlines(), _pretty(new).splitlines()):
        if not line.startswith("?"):
            yield Text(safe(line), styles.get(line[0], ""))


def _pretty(text: str) -> str:
    """Return a JSON object or list on several lines, and any other text unchanged."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if not isinstance(value, dict | list):
        return text
    return json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True)
