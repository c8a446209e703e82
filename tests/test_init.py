"""The package: what it exports, and what an import of it loads."""

from __future__ import annotations

import subprocess
import sys

import pytest

import audit_handler


def loaded_by(program: str) -> set[str]:
    """Return the modules of a new interpreter after *program*."""
    program = f"import sys; {program}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    return set(done.stdout.decode().split())


def test_an_import_loads_only_what_binds_fields_and_the_errors() -> None:
    loaded = loaded_by("import audit_handler")

    assert {
        "audit_handler",
        "audit_handler._process",
        "audit_handler._process.imports",
        "audit_handler.changes",
        "audit_handler.context",
        "audit_handler.errors",
    } == {name for name in loaded if name.startswith("audit_handler")}
    assert loaded.isdisjoint({"clickhouse_connect", "orjson", "pydantic_core", "urllib3"})


def test_the_handler_is_loaded_without_the_driver() -> None:
    loaded = loaded_by("from audit_handler import AuditHandler")

    assert "audit_handler.handler" in loaded
    assert loaded.isdisjoint({"clickhouse_connect", "urllib3", "ctypes"})


@pytest.mark.parametrize("name", audit_handler.__all__)
def test_every_name_can_be_imported_alone(name: str) -> None:
    program = f"from audit_handler import {name}; assert {name}.__name__ == {name!r}"
    if name == "current":  # the method of a variable
        program = f"from audit_handler import {name}; assert {name}() == {{}}"

    assert "audit_handler" in loaded_by(program)


def test_all_names_are_listed_before_they_are_loaded() -> None:
    program = "import audit_handler; assert {*audit_handler.__all__} <= {*dir(audit_handler)}"

    assert "audit_handler.handler" not in loaded_by(program)


def test_changes_stays_a_function_when_its_module_is_imported() -> None:
    program = "import audit_handler.changes; assert callable(audit_handler.changes)"

    assert "audit_handler" in loaded_by(program)


@pytest.mark.parametrize("name", ["config", "filter", "handler", "policy", "request", "status"])
def test_a_public_module_is_an_attribute_before_it_is_imported(name: str) -> None:
    program = f"import audit_handler; audit_handler.{name}"

    assert f"audit_handler.{name}" in loaded_by(program)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'audit_handler' has no attribute 'Handler'"):
        audit_handler.Handler  # noqa: B018
