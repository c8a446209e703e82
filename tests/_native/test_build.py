"""A wheel has the extension where it can be built, and is pure, with a line, where it cannot."""

from __future__ import annotations

import importlib.util
import shutil
import sys
import sysconfig
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import audit_handler
from tests.support.native import is_installed

ROOT = Path(__file__).resolve().parents[2]


class App:
    """What hatchling shows its user."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.display_info = self.display_warning = self.lines.append


@pytest.fixture
def module() -> ModuleType:
    specification = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert specification is not None
    assert specification.loader is not None
    made = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(made)
    return made


def initialized(module: ModuleType, version: str = "standard") -> tuple[dict[str, Any], list[str]]:
    """Return what the hook gives to hatchling, and what it shows."""
    hook = module.ExtensionHook.__new__(module.ExtensionHook)
    app = App()
    module.ExtensionHook.app = property(lambda _: app)
    module.ExtensionHook.root = property(lambda _: str(ROOT))
    data: dict[str, Any] = {"force_include": {}, "pure_python": True}
    hook.initialize(version, data)
    hook.finalize(version, data, "")
    return data, app.lines


@pytest.fixture(autouse=True)
def not_pure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AUDIT_HANDLER_PURE", raising=False)


def test_a_wheel_with_the_extension_is_one_for_all_pythons(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "built", lambda _root, directory: directory / "_call.abi3.so")

    data, lines = initialized(module)

    assert ["audit_handler/_native/_call.abi3.so"] == list(data["force_include"].values())
    assert (False, []) == (data["pure_python"], lines)
    assert data["tag"].startswith("cp310-abi3-")


def test_without_a_compiler_the_wheel_is_pure_and_says_why(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_root: Path, _directory: Path) -> Path:
        raise SystemExit("error: command 'cc' failed: No such file or directory")

    monkeypatch.setattr(module, "built", fails)

    data, lines = initialized(module)

    assert {"force_include": {}, "pure_python": True} == data
    assert "it could not be compiled (error: command 'cc' failed" in lines[0]


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("os.environ", {"AUDIT_HANDLER_PURE": "1"}, "AUDIT_HANDLER_PURE is set"),
        ("sys.platform", "win32", "it is not for win32"),
        ("sysconfig.get_config_var", lambda _name: 1, "this Python has no interpreter lock"),
    ],
    ids=["variable", "system", "no lock"],
)
def test_where_no_extension_is_built_the_wheel_says_why(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch, name: str, value: Any, reason: str
) -> None:
    monkeypatch.setattr(f"{name}", value)

    assert ({"force_include": {}, "pure_python": True}, 1) == (
        initialized(module)[0],
        sum(reason in line for line in initialized(module)[1]),
    )


def test_an_editable_install_reads_the_files_of_the_repository(module: ModuleType) -> None:
    assert ({"force_include": {}, "pure_python": True}, []) == initialized(module, "editable")


def test_the_installed_wheel_has_the_extension() -> None:
    """Else the suite would test it nowhere, and still pass."""
    if Path(audit_handler.__file__).is_relative_to(ROOT / "src"):
        pytest.skip("the package is read from src, not installed")
    if not shutil.which("cc") and not shutil.which("gcc"):
        pytest.skip("no compiler is installed")
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        pytest.skip(f"the headers of Python are not installed in {sys.base_prefix}")

    assert is_installed()
