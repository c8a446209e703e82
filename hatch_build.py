"""
Build the optional extension: ``audit_handler._native._call``, one file of C for the stable ABI.

Hatchling runs this for each wheel. Where no extension can be built, the wheel is pure Python, and a
line says why: no compiler, no headers of Python, another interpreter than CPython, one without the
interpreter lock, another system than Linux or macOS, or ``AUDIT_HANDLER_PURE=1``.

``python hatch_build.py`` builds it beside its source, for a checkout that is run from ``src``;
setuptools must be installed.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

SOURCE = "src/audit_handler/_native/_call.c"
PURE = "AUDIT_HANDLER_PURE"
# The first Python whose stable ABI has what the source uses.
OLDEST = "cp310"


def reason_against() -> str:
    """Return why no extension is built here; nothing if it may be."""
    if os.environ.get(PURE, "0") not in ("", "0"):
        return f"{PURE} is set"
    if sys.implementation.name != "cpython":
        return f"this is {sys.implementation.name}, and the extension is for CPython"
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "this Python has no interpreter lock"
    if sys.platform not in ("linux", "darwin"):
        return f"it is not for {sys.platform}"
    return ""


def built(root: Path, directory: Path) -> Path:
    """
    Compile the extension; return its file, below *directory*.

    Raises:
        Exception: It could not be compiled, for any reason that a compiler may have.
    """
    from setuptools import Distribution, Extension

    extension = Extension(
        "audit_handler._native._call",
        [SOURCE],
        define_macros=[("Py_LIMITED_API", "0x030A0000")],
        extra_compile_args=["-std=c11", "-fvisibility=hidden"],
        py_limited_api=True,
    )
    distribution = Distribution({"name": "audit-handler", "ext_modules": [extension]})
    command: Any = distribution.get_command_obj("build_ext")
    command.build_lib = str(directory / "lib")
    command.build_temp = str(directory / "temp")
    before = Path.cwd()
    os.chdir(root)  # the compiler is given paths relative to it, and writes them into the file
    try:
        command.ensure_finalized()
        command.run()
    finally:
        os.chdir(before)
    (found,) = (directory / "lib").rglob("_call*.so")
    return found


try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run by itself
    BuildHookInterface = object


class ExtensionHook(BuildHookInterface):
    """Adds the extension to a wheel."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build it, and name the wheel for it; else leave the wheel pure."""
        if version == "editable":
            return  # it reads the files of the repository: `python hatch_build.py` puts one there
        if reason := reason_against():
            self.app.display_info(f"audit-handler: built without the extension: {reason}")
            return
        self._directory = Path(tempfile.mkdtemp())
        try:
            found = built(Path(self.root), self._directory)
        except (Exception, SystemExit) as exc:  # noqa: BLE001  # of any compiler; no wheel may fail for it
            self.app.display_warning(
                "audit-handler: built without the extension, which only costs speed: it could not "
                f"be compiled ({str(exc).strip() or type(exc).__name__})"
            )
            return
        build_data["force_include"][str(found)] = f"audit_handler/_native/{found.name}"
        build_data["pure_python"] = False
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"{OLDEST}-abi3-{platform}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what the compiler left."""
        if directory := getattr(self, "_directory", None):
            shutil.rmtree(directory, ignore_errors=True)


def main() -> None:
    root = Path(__file__).resolve().parent
    if reason := reason_against():
        sys.exit(f"not built: {reason}")
    with tempfile.TemporaryDirectory() as directory:
        found = built(root, Path(directory))
        target = (root / SOURCE).with_name(found.name)
        shutil.move(found, target)
    print(target.relative_to(root))


if __name__ == "__main__":
    main()
