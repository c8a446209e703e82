"""Bound fields are seen by their context and the tasks that it starts, and nowhere else."""

from __future__ import annotations

import asyncio
import inspect
import sys
import threading
from collections.abc import AsyncIterator, Iterator

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


def test_bound_holds_for_the_whole_of_a_decorated_coroutine() -> None:
    @bound(agent_id="job")
    async def seen(number: int) -> tuple[int, dict[str, object]]:
        await asyncio.sleep(0)
        return number, dict(current())

    async def both() -> tuple[object, ...]:
        return (*await asyncio.gather(seen(1), seen(2)), dict(current()))

    during = {"agent_id": "job"}
    assert ((1, during), (2, during), {}) == asyncio.run(both())


def test_a_decorated_coroutine_function_is_still_one() -> None:
    """Frameworks look at that to decide whether to call it in a thread."""

    @bound(agent_id="job")
    async def job() -> None: ...

    assert inspect.iscoroutinefunction(job)


def test_a_decorated_function_may_call_itself() -> None:
    @bound(agent_id="job")
    def count_down(number: int) -> list[dict[str, object]]:
        deeper = count_down(number - 1) if number else []
        return [*deeper, dict(current())]

    assert [{"agent_id": "job"}] * 3 == count_down(2)


def test_threads_may_call_a_decorated_function_at_the_same_time() -> None:
    both_inside = threading.Barrier(2, timeout=30)
    seen: list[tuple[dict[str, object], dict[str, object]]] = []

    @bound(agent_id="job")
    def job() -> dict[str, object]:
        both_inside.wait()
        return dict(current())

    threads = [
        threading.Thread(target=lambda: seen.append((job(), dict(current())))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [({"agent_id": "job"}, {})] * 2 == seen


def test_a_generator_function_is_refused_with_the_reason() -> None:
    def items() -> Iterator[int]:
        yield 1

    async def async_items() -> AsyncIterator[int]:
        yield 1

    for function in (items, async_items):
        with pytest.raises(TypeError, match="cannot decorate the generator function"):
            bound(agent_id="job")(function)


def test_what_current_returned_never_changes() -> None:
    bind(agent_id="u-1")
    before = current()

    bind(agent_id="u-2")

    assert {"agent_id": "u-1"} == before


def test_the_mapping_that_current_returned_is_read_only() -> None:
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
