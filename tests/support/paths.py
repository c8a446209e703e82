"""The paths of the checkout's files, for tests that read or run them."""

from pathlib import Path

__all__ = ["DOCS", "EXAMPLES", "ROOT", "SOURCE"]

ROOT = Path(__file__).resolve().parents[2]
"""The checkout."""
SOURCE = ROOT / "src"
DOCS = ROOT / "docs"
EXAMPLES = ROOT / "examples"
