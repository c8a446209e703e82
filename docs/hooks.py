"""
What the site does beyond mkdocs: ``mkdocs.yml`` names this module.

1. Pages link to ``../src``, ``../sql`` and ``../examples``, which works in a checkout and on the
   repository's pages. The site has no such files, so its links go to the repository.
2. ``CHANGELOG.md`` stands at the top of the repository and is a page of the site too.
3. A page must load nothing from another host.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

__all__ = ["on_files", "on_page_markdown", "on_post_page"]

ROOT = Path(__file__).resolve().parents[1]
_OUTSIDE = re.compile(r"(?<=\]\()(?:\.\./)+([^)#\s]+)")
# What a browser loads by itself; an <a> is loaded when the reader clicks.
_LOADED = re.compile(
    r"<(?:script|img|iframe|link(?! rel=\"canonical\"))\b[^>]*=\"(?:https?:)?//[^>]*>"
)


def on_files(files: Files, config: Any) -> Files:
    """Add the changelog."""
    files.append(File.generated(config, "CHANGELOG.md", abs_src_path=str(ROOT / "CHANGELOG.md")))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    """Return *markdown* with its links out of ``docs/`` sent to the repository."""
    if page.file.src_uri == "CHANGELOG.md":
        return markdown.replace("](docs/", "](")
    folder = ROOT / "docs" / Path(page.file.src_uri).parent

    def to_repository(link: re.Match[str]) -> str:
        path = (folder / link[0]).resolve()
        if path.is_relative_to(ROOT / "docs"):
            return link[0]
        if not path.exists():
            raise PluginError(f"{page.file.src_uri} links to {link[0]}, which does not exist")
        kind = "tree" if path.is_dir() else "blob"
        return f"{config.extra['repository']}/{kind}/main/{path.relative_to(ROOT)}"

    return _OUTSIDE.sub(to_repository, markdown)


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Check that *output* loads nothing from another host."""
    if found := _LOADED.search(output):
        raise PluginError(f"{page.file.src_uri} loads something from the network: {found[0]}")
    return output
