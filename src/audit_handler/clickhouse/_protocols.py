"""The interface between delivery and ClickHouse."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Destination"]


class Destination(Protocol):
    """The calls of `ClickHouse` that delivery makes."""

    @property
    def reads_files(self) -> bool: ...

    def insert(
        self,
        lines: bytes,
        *,
        token: str,
        path: Path | None = None,
        without: Collection[str] = (),
        ignores_views: bool = False,
        alone: bool = False,
        rows: int | None = None,
    ) -> None: ...

    def stored(
        self, writer_id: str, first_seq: int, last_seq: int, lines: bytes
    ) -> set[int] | None: ...

    def hides_rows(self) -> bool: ...

    def refuses_size(self, lines: bytes) -> bool: ...

    def close(self) -> None: ...
