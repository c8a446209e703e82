"""Every page of the documentation: its blocks run or parse, its commands and links exist."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

import audit_handler
from audit_handler.cli import main
from audit_handler.schema import statements
from tests.support.commands import environment_with
from tests.support.loopback import LoopbackClickHouse
from tests.support.pages import AFTER, BEFORE, PAGES, Block, blocks, name_of, programs
from tests.support.paths import ROOT, SOURCE
from tests.support.tables import target_of

pytestmark = pytest.mark.once

PROGRAMS = programs()
BLOCKS = [block for page in PAGES for block in blocks(page)]
# Read with a regular expression: tomllib exists from Python 3.11 on.
PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def of(*languages: str) -> pytest.MarkDecorator:
    """Parametrize a test by the blocks in *languages*."""
    found = [block for block in BLOCKS if block.language in languages]
    assert found
    return pytest.mark.parametrize("block", found, ids=lambda b: f"{b.page}:{b.line}")


def run(text: str, directory: Path) -> str:
    """Run *text* as a program in *directory*, and return its output."""
    settings = {"CLICKHOUSE_URL": "chdb://memory", "AUDIT_SPOOL_DIR": str(directory / "spool")}
    program = directory / "page.py"
    program.write_text(text, encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, str(program)],
        cwd=directory,
        env=environment_with(settings),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert 0 == ran.returncode, ran.stderr
    return ran.stdout


def test_every_block_has_a_language_that_is_checked_here() -> None:
    checked = {"python", "console", "yaml", "sql", "xml", "ini", "text"}

    assert set() == {(b.page, b.line, b.language) for b in BLOCKS if b.language not in checked}


def test_no_block_is_indented_where_nothing_reads_it() -> None:
    indented = re.compile(r"\n\n    (?![-*\d ])\S", re.MULTILINE)
    texts = {name_of(page): page.read_text(encoding="utf-8") for page in PAGES}
    outside = {name: re.sub(r"(?ms)^```.*?^```$", "", text) for name, text in texts.items()}

    assert [] == [
        name
        for name, text in outside.items()
        if indented.search(text) and not name.startswith("docs/api/")
    ]


def test_the_code_around_pages_belongs_to_existing_pages() -> None:
    assert set() == (BEFORE.keys() | AFTER.keys()) - PROGRAMS.keys()


@pytest.mark.parametrize("page", [page for page in PROGRAMS if page != "docs/QUERIES.md"])
def test_the_python_of_a_page_runs(page: str, tmp_path: Path) -> None:
    printed = run(PROGRAMS[page], tmp_path)
    shown = [b.text for b in BLOCKS if b.page == page and b.language == "text"]

    assert "".join(shown).strip() == printed.strip()


@pytest.fixture
def database_of_the_pages(faults: LoopbackClickHouse) -> Iterator[LoopbackClickHouse]:
    """Yield a server with the table under the names that the pages use."""
    for sql in statements(target_of(faults.dsn("audit_db"), "audit_db")):
        faults.command(sql)
    yield faults
    faults.command("DROP DATABASE audit_db")


def test_the_python_of_the_questions_runs_against_a_server(
    database_of_the_pages: LoopbackClickHouse, tmp_path: Path
) -> None:
    program = PROGRAMS["docs/QUERIES.md"]
    shown = "https://audit_reader:password@host:8443"
    assert shown in program

    run(program.replace(shown, database_of_the_pages.dsn("default")), tmp_path)


@pytest.mark.skipif(find_spec("mypy") is None, reason="mypy is not installed here")
def test_the_python_of_every_page_has_the_right_types(tmp_path: Path) -> None:
    """Strictly, with the settings of the project, and each page as a separate program."""
    files = [tmp_path / f"page_{number}.py" for number in range(len(PROGRAMS))]
    for file, text in zip(files, PROGRAMS.values(), strict=True):
        file.write_text(text, encoding="utf-8")
    checked = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            f"--config-file={ROOT / 'pyproject.toml'}",
            f"--cache-dir={ROOT / '.mypy_cache'}",
            *map(str, files),
        ],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )

    assert 0 == checked.returncode, f"{list(enumerate(PROGRAMS))}\n{checked.stdout}"


@of("yaml")
def test_yaml_parses_and_configures_logging_where_it_is_for_that(
    block: Block, tmp_path: Path
) -> None:
    read = yaml.safe_load(block.text)
    if "version" in read:
        run(f"import logging.config\nlogging.config.dictConfig({read!r})\n", tmp_path)

    assert read.keys() >= {"version", "handlers"} or read.keys() == {"groups"}


@of("xml")
def test_xml_parses(block: Block) -> None:
    assert "clickhouse" == ElementTree.fromstring(block.text).tag


@of("ini")
def test_a_unit_of_systemd_parses(block: Block) -> None:
    unit = configparser.ConfigParser()
    unit.read_string(block.text)

    assert ["Service"] == unit.sections()


@of("sql")
def test_sql_runs(block: Block, database_of_the_pages: LoopbackClickHouse) -> None:
    assert block.text.strip()
    database_of_the_pages.command(block.text)


@of("console")
def test_a_command_has_the_names_and_options_that_exist(block: Block) -> None:
    for line in block.text.replace("\\\n", " ").splitlines():
        name, *words = shlex.split(line.partition(" #")[0])
        check = {"audit-handler": command, "pip": pip, "clickhouse-client": clickhouse_client}
        check[name](words)


def command(words: list[str]) -> None:
    """Check that click accepts *words*, without running them."""
    with main.make_context("audit-handler", list(words)) as context:
        name, found, rest = main.resolve_command(context, words)
        assert found is not None
        with found.make_context(name, rest, parent=context):
            pass


def pip(words: list[str]) -> None:
    assert "install" == words[0]
    extras = re.findall(r"\[(.+)\]", words[1])
    known = re.findall(
        r"^([\w-]+) = \[", PROJECT.partition("[project.optional-dependencies]")[2], re.MULTILINE
    )

    assert "audit-handler" == words[1].partition("[")[0]
    assert set() == {name for each in extras for name in each.split(",")} - set(known)


def clickhouse_client(words: list[str]) -> None:
    assert (ROOT / words[words.index("--queries-file") + 1]).is_file()


def test_a_command_that_a_text_names_exists() -> None:
    targets = set(re.findall(r"^([a-z ]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    made = {name for names in targets for name in names.split()}
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        commands = set(re.findall(r"`audit-handler ([a-z-]+)", text)) - {"--help"}

        assert set() == commands - set(main.commands), page
        assert set() == set(re.findall(r"`make ([a-z]+)", text)) - made, page


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=name_of)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    text = re.sub(r"(?ms)^```.*?^```$", "", page.read_text(encoding="utf-8"))
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]

    assert [] == [link for link in links if not leads_somewhere(page, link)]


def leads_somewhere(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    return target.exists() and (not anchor or anchor in anchors(target))


def anchors(page: Path) -> set[str]:
    """Return the anchors of the headings of *page*, as on the site and on GitHub."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


def test_every_public_name_is_in_the_reference() -> None:
    reference = "".join(page.read_text() for page in PAGES if "docs/api/" in name_of(page))
    shown = set(re.findall(r"^::: ([\w.]+)", reference, re.MULTILINE))
    for name in audit_handler.__all__:
        module = (
            getattr(getattr(audit_handler, name), "__module__", None) or "audit_handler.context"
        )
        # A package shows the names of its private modules.
        package = module.partition("._")[0] or module

        assert {package, module, f"{module}.{name}"} & shown, name
