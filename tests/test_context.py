"""What is bound is seen by this context, by what it starts, and by nobody else."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator

import pytest

from audit_handler.context import bind, bound, clear, current, reset


@pytest.fixture(autouse=True)
def _nothing_bound() -> Iterator[None]:
    clear()
    yield
    clear()


def test_nothing_is_bound_at_first() -> None:
    assert {} == current()


def test_bind_adds_to_what_is_bound() -> None:
    bind(agent_id="u-1")
    bind(request_id="r-1")

    assert {"agent_id": "u-1", "request_id": "r-1"} == current()


def test_bind_replaces_a_field_that_is_bound_already() -> None:
    bind(agent_id="u-1")
    bind(agent_id="u-2")

    assert {"agent_id": "u-2"} == current()


def test_reset_restores_what_was_bound_before() -> None:
    bind(agent_id="u-1")
    token = bind(agent_id="u-2", request_id="r-1")

    reset(token)

    assert {"agent_id": "u-1"} == current()


def test_clear_forgets_all_fields() -> None:
    bind(agent_id="u-1")

    clear()

    assert {} == current()


def test_bound_restores_the_context_when_its_block_raises() -> None:
    bind(agent_id="u-1")

    with pytest.raises(LookupError), bound(agent_id="u-2"):
        raise LookupError

    assert {"agent_id": "u-1"} == current()


def test_bound_holds_for_a_call_where_it_stands_as_a_decorator() -> None:
    @bound(agent_id="u-1")
    def seen() -> dict[str, object]:
        return dict(current())

    during = seen()

    assert ({"agent_id": "u-1"}, {}) == (during, current())


def test_what_current_returned_never_changes() -> None:
    bind(agent_id="u-1")
    before = current()

    bind(agent_id="u-2")

    assert {"agent_id": "u-1"} == before


def test_nobody_can_write_into_what_current_returned() -> None:
    bind(agent_id="u-1")

    with pytest.raises(TypeError):
        current()["agent_id"] = "u-2"  # type: ignore[index]


def test_another_thread_does_not_see_what_is_bound_here() -> None:
    bind(agent_id="u-1")
    seen: list[dict[str, object]] = []

    thread = threading.Thread(target=lambda: seen.append(dict(current())))
    thread.start()
    thread.join()

    # From 3.14 an interpreter may be told to let threads inherit the context.
    inherits = getattr(sys.flags, "thread_inherit_context", False)
    assert [{"agent_id": "u-1"} if inherits else {}] == seen


def test_a_task_inherits_what_was_bound_and_keeps_its_own_to_itself() -> None:
    async def child() -> dict[str, object]:
        bind(request_id="r-1")
        return dict(current())

    async def parent() -> tuple[dict[str, object], dict[str, object]]:
        bind(agent_id="u-1")
        inherited = await asyncio.create_task(child())
        return inherited, dict(current())

    assert ({"agent_id": "u-1", "request_id": "r-1"}, {"agent_id": "u-1"}) == asyncio.run(parent())
