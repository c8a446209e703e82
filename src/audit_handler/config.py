"""
Settings: every option, its default with the reason, and its name in the environment. Checked once,
all here.

An argument wins over the environment, the environment over a profile, a profile over the default.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from audit_handler.errors import ConfigurationError
from audit_handler.target import DSN_FORMS, Target, parse_dsn

__all__ = ["PROFILES", "Settings"]

PROFILES: Mapping[str, Mapping[str, int]] = {
    "low": {"batch_size": 50, "flush_interval_ms": 10_000},
    "medium": {"batch_size": 100, "flush_interval_ms": 5_000},
    "high": {"batch_size": 500, "flush_interval_ms": 3_000},
}
"""
Rows and milliseconds for *profile* (``AUDIT_PROFILE``), the names users of earlier audit systems
know.
"""

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    What one `AuditHandler` was told. Immutable and checked; made by `Settings.resolve`.

    Raises:
        ConfigurationError: An option is out of its range; the text names option, value and range.
    """

    target: Target
    """Where the rows go."""
    batch_size: int = 10_000
    """
    Rows in a segment, 1 to 100,000. ClickHouse wants few large inserts; 10,000 rows insert at full
    speed.
    """
    batch_bytes: int = 8 * _MIB
    """
    Bytes in a segment, 64 KiB to 8 MiB: above that an insert may be cut into blocks that succeed
    one by one.
    """
    flush_interval_ms: int = 5_000
    """Milliseconds a row waits at most for company while ClickHouse is idle, 10 to 3,600,000."""
    spool_dir: Path | None = None
    """
    Directory of the spool; None keeps the segments in memory, and a crash then loses what waits.
    """
    max_spool_bytes: int = 1024 * _MIB
    """
    Bytes that may wait, at least one segment. 1 GiB is about a million full rows, hours of most
    applications.
    """
    on_full: str = "block"
    """What a logger call does when the spool is full: ``block``, ``drop`` or ``raise``."""
    block_timeout: float = 10.0
    """Seconds that ``block`` waits before the row is dropped, counted and reported; below the 30 s
    that web servers commonly grant a request."""
    fsync: str = "batch"
    """
    ``never``, ``batch`` (a segment is synced before it is sent) or ``always`` (before the logger
    call returns).
    """
    capture: str = "audit"
    """
    ``audit`` takes records that carry an action, ``all`` takes every record that reaches the
    handler.
    """
    service_name: str = ""
    """Column *service_name* of rows that do not bring their own."""
    redact_keys: tuple[str, ...] = ()
    """Parts of key names to redact besides the default ones."""
    redact_default_keys: bool = True
    """False replaces the default list by *redact_keys*."""
    max_value_bytes: int = 64 * 1024
    """
    Bytes a single value may have before it is cut, 256 to 1 MiB. No special reason: 64 KiB is ample
    for a body.
    """
    async_insert: bool = False
    """
    Let the server batch inserts of many small writers; the acknowledgement is still waited for.
    """
    create_table: bool = False
    """Create database and table on connecting. On by default for chDB, off for servers."""
    shutdown_timeout: float = 10.0
    """
    Seconds that ``flush()``, ``close()`` and the end of the process wait for ClickHouse, 0 to
    3,600.
    """
    retry_min_ms: int = 200
    """Milliseconds, upper bound of the first wait before a retry, 1 to 60,000."""
    retry_max_ms: int = 30_000
    """Milliseconds, upper bound of all later waits, *retry_min_ms* to 3,600,000."""

    def __post_init__(self) -> None:
        self._check_range("batch_size", 1, 100_000)
        self._check_range("batch_bytes", 64 * 1024, 8 * _MIB)
        self._check_range("flush_interval_ms", 10, 3_600_000)
        self._check_range("max_spool_bytes", self.batch_bytes, 2**63 - 1)
        self._check_range("block_timeout", 0, 3_600)
        self._check_range("max_value_bytes", 256, _MIB)
        self._check_range("shutdown_timeout", 0, 3_600)
        self._check_range("retry_min_ms", 1, 60_000)
        self._check_range("retry_max_ms", self.retry_min_ms, 3_600_000)
        self._check_type("service_name", str, "a text")
        for option in ("redact_default_keys", "async_insert", "create_table"):
            self._check_type(option, bool, "True or False")
        self._check_choice("on_full", "block", "drop", "raise")
        self._check_choice("fsync", "never", "batch", "always")
        self._check_choice("capture", "audit", "all")
        for key in self.redact_keys:
            if not key:
                raise ConfigurationError(
                    f"redact_keys has the entry {key!r}; give parts of key names, such as 'iban'"
                )

    def _check_range(self, option: str, low: float, high: float) -> None:
        value = getattr(self, option)
        # Seconds may have a fraction; rows, bytes and milliseconds are counted.
        kinds = (int, float) if option.endswith("timeout") else (int,)
        if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
            kind = "number" if float in kinds else "whole number"
            raise ConfigurationError(
                f"{option}={value!r} is out of range; use a {kind} from {low:,} to {high:,}"
            )

    def _check_type(self, option: str, kind: type, remedy: str) -> None:
        value = getattr(self, option)
        if not isinstance(value, kind):
            raise ConfigurationError(f"{option}={value!r} is of the wrong type; use {remedy}")

    def _check_choice(self, option: str, *choices: str) -> None:
        value = getattr(self, option)
        if value not in choices:
            raise ConfigurationError(
                f"{option}={value!r} is unknown; use one of {', '.join(choices)}"
            )

    @classmethod
    def resolve(cls, options: Mapping[str, Any], environ: Mapping[str, str]) -> Settings:
        """
        Settle every option from the arguments, then the environment, then the profile, then the
        defaults.

        Args:
            options: What the handler was given; None means "not given".
            environ: The environment, mostly ``os.environ``.

        Raises:
            ConfigurationError: Something is missing, unknown or out of range.
        """
        given = {name: value for name, value in options.items() if value is not None}
        with _naming(_VARIABLE_OF.keys() - given.keys(), environ):
            return cls._resolve(given, environ)

    @classmethod
    def _resolve(cls, given: dict[str, Any], environ: Mapping[str, str]) -> Settings:
        target = _resolve_target(given, environ)
        profile = given.pop("profile", environ.get("AUDIT_PROFILE") or None)
        if profile is not None and profile not in PROFILES:
            raise ConfigurationError(
                f"profile={profile!r} is unknown; use one of {', '.join(PROFILES)}"
            )
        settled: dict[str, Any] = {
            "spool_dir": None if target.is_in_memory else _state_directory(),
            "create_table": target.is_embedded,
            **(PROFILES[profile] if profile else {}),
            **_from_environment(environ),
            **given,
        }
        settled["spool_dir"] = _spool_directory(settled["spool_dir"])
        if "redact_keys" in settled:
            settled["redact_keys"] = _strings("redact_keys", settled["redact_keys"])
        unknown = sorted(set(settled) - {field.name for field in fields(cls)})
        if unknown:
            raise ConfigurationError(f"{unknown[0]}= is no option of AuditHandler")
        return cls(target=target, **settled)


@contextmanager
def _naming(options: Iterable[str], environ: Mapping[str, str]) -> Iterator[None]:
    """
    Let an error about one of *options* name its variable, where the value came from *environ*.
    """
    try:
        yield
    except ConfigurationError as exc:
        option, _, rest = str(exc).partition("=")
        variable = _VARIABLE_OF.get(option, "")
        if option in options and environ.get(variable):
            raise ConfigurationError(f"{variable}={rest}") from None
        raise


def _resolve_target(given: dict[str, Any], environ: Mapping[str, str]) -> Target:
    """Build the target from *given* (whose entries about it are taken out) and the environment."""
    dsn = given.pop("dsn", None) or environ.get("CLICKHOUSE_URL")
    if not dsn:
        raise ConfigurationError(
            "no dsn: pass dsn=... to AuditHandler or set the environment variable CLICKHOUSE_URL; "
            f"use {DSN_FORMS}"
        )
    if not isinstance(dsn, str):
        raise ConfigurationError(f"the dsn is no text but {type(dsn).__name__}; use {DSN_FORMS}")
    client_options = given.pop("client_options", {})
    if not isinstance(client_options, Mapping):
        raise ConfigurationError("client_options is no mapping; use {'verify': False} and the like")
    port = environ.get("CLICKHOUSE_PORT")
    target = parse_dsn(
        dsn,
        port=_number("CLICKHOUSE_PORT", port, int) if port else None,
        user=environ.get("CLICKHOUSE_USER"),
        password=_environment_password(environ),
    )
    target.setdefault("database", environ.get("CLICKHOUSE_DATABASE") or "audit_db")
    if environ.get("CLICKHOUSE_CLUSTER"):
        target["cluster"] = environ["CLICKHOUSE_CLUSTER"]
    for option in ("database", "table", "cluster"):
        if option in given:
            target[option] = given.pop(option)
    target["client_options"] = {**target["client_options"], **client_options}
    return Target(**target)


def _environment_password(environ: Mapping[str, str]) -> str | None:
    """
    Return the password of the environment; a file (Docker and Kubernetes secrets) only where no
    value is set.
    """
    path = environ.get("CLICKHOUSE_PASSWORD_FILE")
    if environ.get("CLICKHOUSE_PASSWORD") or not path:
        return environ.get("CLICKHOUSE_PASSWORD")
    try:
        return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as exc:
        raise ConfigurationError(
            f"CLICKHOUSE_PASSWORD_FILE={path} cannot be read: {exc.strerror}"
        ) from exc
    except UnicodeDecodeError:
        # Without its cause, which quotes the content.
        raise ConfigurationError(f"CLICKHOUSE_PASSWORD_FILE={path} is no UTF-8 text") from None


def _state_directory() -> Path:
    from platformdirs import user_state_path  # not needed where the spool's place is given

    return user_state_path("audit-handler")


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the options that *environ* sets."""
    settled: dict[str, Any] = {}
    for name, (option, convert) in _VARIABLES.items():
        if text := environ.get(name):
            settled[option] = convert(name, text)
    return settled


def _number(name: str, text: str, kind: Callable[[str], Any]) -> Any:
    try:
        number = kind(text)
    except ValueError:
        number = math.nan
    if number != number:
        raise ConfigurationError(f"{name}={text!r} is no number") from None
    return number


def _integer(name: str, text: str) -> Any:
    return _number(name, text, int)


def _seconds(name: str, text: str) -> Any:
    return _number(name, text, float)


def _boolean(name: str, text: str) -> bool:
    known = {
        "1": True,
        "true": True,
        "yes": True,
        "on": True,
        "0": False,
        "false": False,
        "no": False,
        "off": False,
    }
    if text.lower() not in known:
        raise ConfigurationError(
            f"{name}={text!r} is neither true nor false; use one of {', '.join(known)}"
        )
    return known[text.lower()]


def _text(_name: str, text: str) -> str:
    return text


def _strings(name: str, value: Any) -> tuple[str, ...]:
    """Accept a list, or one comma-separated text as the environment and fileConfig have it."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    strings = tuple(value) if isinstance(value, Iterable) else (None,)
    if not all(isinstance(part, str) for part in strings):
        raise ConfigurationError(f"{name}={value!r} is no list of strings")
    return strings


def _spool_directory(value: Any) -> Path | None:
    """Accept a path, None, or the word that stands for None where only text can be written."""
    if value is None or value == "" or value == "memory":
        return None
    try:
        return Path(value).expanduser().absolute()
    except TypeError:
        raise ConfigurationError(
            f"spool_dir={value!r} is no path; give a directory, or 'memory'"
        ) from None


_VARIABLES: Mapping[str, tuple[str, Callable[[str, str], Any]]] = {
    "AUDIT_BATCH_SIZE": ("batch_size", _integer),
    "AUDIT_BATCH_BYTES": ("batch_bytes", _integer),
    "AUDIT_FLUSH_INTERVAL": ("flush_interval_ms", _integer),
    "AUDIT_SPOOL_DIR": ("spool_dir", _text),
    "AUDIT_MAX_SPOOL_BYTES": ("max_spool_bytes", _integer),
    "AUDIT_ON_FULL": ("on_full", _text),
    "AUDIT_BLOCK_TIMEOUT": ("block_timeout", _seconds),
    "AUDIT_FSYNC": ("fsync", _text),
    "AUDIT_CAPTURE": ("capture", _text),
    "OTEL_SERVICE_NAME": ("service_name", _text),
    "AUDIT_REDACT_KEYS": ("redact_keys", _strings),
    "AUDIT_REDACT_DEFAULT_KEYS": ("redact_default_keys", _boolean),
    "AUDIT_MAX_VALUE_BYTES": ("max_value_bytes", _integer),
    "AUDIT_ASYNC_INSERT": ("async_insert", _boolean),
    "AUDIT_CREATE_TABLE": ("create_table", _boolean),
    "AUDIT_SHUTDOWN_TIMEOUT": ("shutdown_timeout", _seconds),
    "AUDIT_RETRY_MIN_MS": ("retry_min_ms", _integer),
    "AUDIT_RETRY_MAX_MS": ("retry_max_ms", _integer),
}
"""Environment variable -> option and how its text is read. Units as in the option."""

_VARIABLE_OF: Mapping[str, str] = {
    "profile": "AUDIT_PROFILE",
    "database": "CLICKHOUSE_DATABASE",
    "cluster": "CLICKHOUSE_CLUSTER",
    **{option: variable for variable, (option, _) in _VARIABLES.items()},
}
