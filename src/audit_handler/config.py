"""
The options of a handler: the default of each and its reason, its range, its environment variable.

An argument wins over the environment, the environment over a profile, a profile over the default.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from audit_handler._options.environment import given_in
from audit_handler._options.patterns import checked_pattern
from audit_handler._options.server import TARGET_VARIABLES, resolve_target
from audit_handler.errors import ConfigurationError
from audit_handler.target import Target

__all__ = ["OPTIONS", "PROFILES", "VARIABLES", "Option", "Settings"]

PROFILES: Mapping[str, Mapping[str, int]] = {
    "low": {"batch_size": 50, "flush_interval_ms": 10_000},
    "medium": {"batch_size": 100, "flush_interval_ms": 5_000},
    "high": {"batch_size": 500, "flush_interval_ms": 3_000},
}
"""
Options for each *profile* (``AUDIT_PROFILE``). Earlier audit systems had these names and values.
"""

_MIB = 1024 * 1024
# As in a container that runs as a user without an entry in passwd.
_NO_HOME = (
    "this user has no home directory; set spool_dir or AUDIT_SPOOL_DIR to an absolute directory"
)

_T = TypeVar("_T")


class Option:
    """
    How one option is read from the environment and checked.

    Args:
        variable: Its environment variable, with the same unit as the option.
    """

    takes = "a text"
    """A description of valid values, for error messages and documentation."""

    def __init__(self, variable: str) -> None:
        self.variable = variable

    def read(self, text: str) -> Any:
        """Return the value that *text* stands for, or *text* itself, which `problem` rejects."""
        return text

    def problem(self, value: Any, settings: Settings) -> str:  # noqa: ARG002  # limits of others need it
        """Return why *value* is not valid in *settings*, and the remedy; empty if it is valid."""
        return "" if isinstance(value, str) else f"is of the wrong type; use {self.takes}"


class _Number(Option):
    """
    A whole number.

    Args:
        variable: As in `Option`.
        low: The lowest value, or the name of the option that is the lowest value.
        high: The highest value.
    """

    _reads: type = int
    _kinds: tuple[type, ...] = (int,)
    _noun = "a whole number"

    def __init__(self, variable: str, low: int | str, high: int) -> None:
        super().__init__(variable)
        self._low, self._high = low, high
        self.takes = self._between(low)

    def read(self, text: str) -> Any:
        try:
            number = self._reads(text)
        except ValueError:
            return text
        return number if number == number else text  # "nan"

    def problem(self, value: Any, settings: Settings) -> str:
        low = getattr(settings, self._low) if isinstance(self._low, str) else self._low
        is_number = isinstance(value, self._kinds) and not isinstance(value, bool)
        if is_number and low <= value <= self._high:
            return ""
        return f"is out of range; use {self._between(low)}"

    def _between(self, low: int | str) -> str:
        return f"{self._noun} from {low if isinstance(low, str) else f'{low:,}'} to {self._high:,}"


class _Seconds(_Number):
    """A number that may have a fraction."""

    _reads = float
    _kinds = (int, float)
    _noun = "a number"


class _Choice(Option):
    """One of a few words."""

    def __init__(self, variable: str, *choices: str) -> None:
        super().__init__(variable)
        self._choices = choices
        self.takes = f"one of {', '.join(choices)}"

    def problem(self, value: Any, settings: Settings) -> str:  # noqa: ARG002  # as above
        return "" if value in self._choices else f"is unknown; use {self.takes}"


class _Switch(Option):
    """True or False."""

    takes = "True or False (in the environment: 1, true, yes, on, 0, false, no, off)"

    def read(self, text: str) -> Any:
        word = text.lower()
        is_on = word in ("1", "true", "yes", "on")
        return is_on if is_on or word in ("0", "false", "no", "off") else text

    def problem(self, value: Any, settings: Settings) -> str:  # noqa: ARG002  # as above
        return "" if isinstance(value, bool) else f"is of the wrong type; use {self.takes}"


class _Names(Option):
    """Several texts; one text separates them by commas, as in the environment and in fileConfig."""

    takes = "parts of key names, such as 'iban', in a list or separated by commas"

    def problem(self, value: Any, settings: Settings) -> str:  # noqa: ARG002  # as above
        if not isinstance(value, tuple) or not all(isinstance(name, str) for name in value):
            return f"is of the wrong type; use {self.takes}"
        return "" if all(value) else f"has an empty entry; use {self.takes}"


class _Patterns(Option):
    """Several regular expressions; in one text each has a line."""

    takes = "regular expressions, in a list or one in a line"

    def problem(self, value: Any, settings: Settings) -> str:  # noqa: ARG002  # as above
        if not isinstance(value, tuple) or not all(isinstance(each, str) for each in value):
            return f"is of the wrong type; use {self.takes}"
        for pattern in value:
            try:
                checked_pattern(pattern)
            except ValueError as exc:
                return f"has {pattern!r}, which {exc}"
        return ""


class _Directory(Option):
    """A directory, or memory."""

    takes = "a directory, or 'memory'"

    def problem(self, value: Any, settings: Settings) -> str:  # noqa: ARG002  # as above
        return (
            "" if value is None or isinstance(value, Path) else f"is not a path; use {self.takes}"
        )


def _setting(default: _T, option: Option) -> _T:
    """Return the field of an option; its type is that of *default* for type checkers."""
    return field(default=default, metadata={"option": option})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    All options of one `AuditHandler`, checked. Immutable; made by `Settings.resolve`.

    Raises:
        ConfigurationError: An option has a value that cannot be used.
    """

    target: Target
    """The table that gets the rows, and its server."""
    batch_size: int = _setting(10_000, _Number("AUDIT_BATCH_SIZE", 1, 100_000))
    """
    The most rows in a batch, which is one file of the spool and one insert, 1 to 100,000.
    ClickHouse needs few large inserts; 10,000 rows insert at full speed.
    """
    batch_bytes: int = _setting(8 * _MIB, _Number("AUDIT_BATCH_BYTES", 64 * 1024, 8 * _MIB))
    """
    The most bytes in a batch, 64 KiB to 8 MiB. ClickHouse may split a larger insert into blocks, of
    which some may succeed and others fail.
    """
    flush_interval_ms: int = _setting(5_000, _Number("AUDIT_FLUSH_INTERVAL", 10, 3_600_000))
    """
    The most milliseconds that a row waits for more rows while ClickHouse is idle, 10 to 3,600,000.
    """
    spool_dir: Path | None = _setting(None, _Directory("AUDIT_SPOOL_DIR"))  # noqa: RUF009  # it calls field()
    """
    Directory of the spool. None keeps the rows in memory; a crash then loses the waiting rows.
    """
    max_spool_bytes: int = _setting(
        1024 * _MIB, _Number("AUDIT_MAX_SPOOL_BYTES", "batch_bytes", 2**63 - 1)
    )
    """
    The most bytes that may wait, at least one batch. 1 GiB is about a million full rows, which most
    applications write in some hours.
    """
    max_rejected_bytes: int = _setting(
        256 * _MIB, _Number("AUDIT_MAX_REJECTED_BYTES", 0, 2**63 - 1)
    )
    """
    The most bytes of rejected rows and their reasons that are kept for a target; 0 keeps none.
    Further rejected rows are dropped, counted and reported. 256 MiB is a quarter of what may wait:
    some 300,000 short rows, enough for every row of some hours to be sent again after a fix.
    """
    on_full: str = _setting("block", _Choice("AUDIT_ON_FULL", "block", "drop", "raise"))
    """What a logger call does when the spool is full: ``block``, ``drop`` or ``raise``."""
    block_timeout: float = _setting(10.0, _Seconds("AUDIT_BLOCK_TIMEOUT", 0, 3_600))
    """
    Seconds that ``block`` waits before it drops the row, counts it and reports it, 0 to 3,600. The
    default is below 30 s, a common timeout of web servers.
    """
    fsync: str = _setting("batch", _Choice("AUDIT_FSYNC", "never", "batch", "always"))
    """
    When a batch is synced to the disk: ``never``, ``batch`` (before it is sent) or ``always``
    (before each logger call returns).
    """
    hold_gil: bool = _setting(True, _Switch("AUDIT_HOLD_GIL"))
    """
    Let a logger call hold the interpreter lock (GIL) for the microseconds in which it writes its
    row, when threads compete for that lock and the spool is on a local disk. A write that takes
    over 5 ms stops the other threads so long, and no later write of the next 10 s does. False lets
    go of the lock for every write.
    """
    capture: str = _setting("audit", _Choice("AUDIT_CAPTURE", "audit", "all"))
    """``audit`` accepts records with an action, ``all`` every record that reaches the handler."""
    service_name: str = _setting("", Option("OTEL_SERVICE_NAME"))
    """Value of the column *service_name* for rows without one."""
    redact_keys: tuple[str, ...] = _setting((), _Names("AUDIT_REDACT_KEYS"))
    """Parts of key names to redact in addition to the default ones."""
    redact_except: tuple[str, ...] = _setting((), _Names("AUDIT_REDACT_EXCEPT"))
    """Names of keys whose values stay, whatever else says that they are secret."""
    redact_patterns: tuple[str, ...] = _setting((), _Patterns("AUDIT_REDACT_PATTERNS"))
    """Regular expressions of secrets in texts, in addition to the known ones."""
    redact_default_keys: bool = _setting(True, _Switch("AUDIT_REDACT_DEFAULT_KEYS"))
    """False redacts *redact_keys* and *redact_patterns* only."""
    list_redacted: bool = _setting(False, _Switch("AUDIT_LIST_REDACTED"))
    """List in ``metadata._redacted`` where something was redacted."""
    max_value_bytes: int = _setting(64 * 1024, _Number("AUDIT_MAX_VALUE_BYTES", 256, _MIB))
    """
    The most UTF-8 bytes of one value, 256 to 1 MiB; a longer value is cut. No special reason for
    the default: 64 KiB is enough for most bodies.
    """
    async_insert: bool = _setting(False, _Switch("AUDIT_ASYNC_INSERT"))
    """
    Let the server combine the inserts of many small writers. Each writer still waits for the
    acknowledgement.
    """
    create_table: bool = _setting(False, _Switch("AUDIT_CREATE_TABLE"))
    """Create database and table on connecting. On by default for chDB, off for servers."""
    shutdown_timeout: float = _setting(10.0, _Seconds("AUDIT_SHUTDOWN_TIMEOUT", 0, 3_600))
    """
    Seconds that ``flush()``, ``close()`` and the end of the process wait for ClickHouse, 0 to
    3,600.
    """
    retry_min_ms: int = _setting(200, _Number("AUDIT_RETRY_MIN_MS", 1, 60_000))
    """Upper bound of the first wait before a retry, in milliseconds, 1 to 60,000."""
    retry_max_ms: int = _setting(30_000, _Number("AUDIT_RETRY_MAX_MS", "retry_min_ms", 3_600_000))
    """Upper bound of all later waits, in milliseconds, *retry_min_ms* to 3,600,000."""
    sources: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    """
    Where each option that was given came from: ``"argument"``, ``"dsn"`` or the name of a variable.
    """

    def __post_init__(self) -> None:
        for name, option in OPTIONS.items():
            value = getattr(self, name)
            if problem := option.problem(value, self):
                raise ConfigurationError(f"{name}={value!r} {problem}", option=name)

    @classmethod
    def resolve(cls, options: Mapping[str, Any], environ: Mapping[str, str]) -> Settings:
        """
        Return the settings: each option from the arguments, else from the environment, else from
        the profile, else its default.

        Args:
            options: Arguments of the handler; None means that it was not given.
            environ: The environment, usually ``os.environ``.

        Raises:
            ConfigurationError: An option is missing, unknown, or has a value that cannot be used.
                The text names the variable if the value came from *environ*.
        """
        given = {name: value for name, value in options.items() if value is not None}
        try:
            return cls._resolve(dict(given), environ)
        except ConfigurationError as exc:
            option = exc.option or ""
            variable = _VARIABLE_OF.get(option, "")
            if option in given or not given_in(environ, variable):
                raise
            message = variable + str(exc).removeprefix(option)
            raise ConfigurationError(message, option=option) from None

    @classmethod
    def _resolve(cls, given: dict[str, Any], environ: Mapping[str, str]) -> Settings:
        target, sources = resolve_target(given, environ)
        profile = given.pop("profile", given_in(environ, "AUDIT_PROFILE") or None)
        if profile is not None and profile not in PROFILES:
            raise ConfigurationError(
                f"profile={profile!r} is unknown; use one of {', '.join(PROFILES)}",
                option="profile",
            )
        from_environment = {
            name: option.read(text)
            for name, option in OPTIONS.items()
            if name not in given and (text := given_in(environ, option.variable))
        }
        sources.update({name: OPTIONS[name].variable for name in from_environment})
        sources.update(dict.fromkeys(given, "argument"))
        settled: dict[str, Any] = {
            "create_table": target.is_embedded,
            **(PROFILES[profile] if profile else {}),
            **from_environment,
            **given,
        }
        unknown = sorted(settled.keys() - OPTIONS.keys())
        if unknown:
            raise ConfigurationError(
                f"{unknown[0]}= is not an option of AuditHandler; check the spelling",
                option=unknown[0],
            )
        if "spool_dir" in settled:
            settled["spool_dir"] = _directory(settled["spool_dir"])
        elif not target.is_in_memory:
            settled["spool_dir"] = _state_directory()
        for name, separator in (
            ("redact_keys", ","),
            ("redact_except", ","),
            ("redact_patterns", "\n"),
        ):
            if name in settled:
                settled[name] = _several(settled[name], separator)
        return cls(target=target, sources=sources, **settled)


OPTIONS: Mapping[str, Option] = {
    each.name: each.metadata["option"] for each in fields(Settings) if each.metadata
}
"""The options that are fields of `Settings`, by name; without those of `Target`."""

VARIABLES: Mapping[str, str] = {option.variable: name for name, option in OPTIONS.items()}
"""The names of `OPTIONS` by environment variable."""

_VARIABLE_OF: Mapping[str, str] = {
    "profile": "AUDIT_PROFILE",
    **TARGET_VARIABLES,
    **{name: option.variable for name, option in OPTIONS.items()},
}


def _state_directory() -> Path:
    from platformdirs import user_state_path  # not needed if spool_dir is given

    try:
        return user_state_path("audit-handler")
    except RuntimeError as exc:
        raise ConfigurationError(_NO_HOME, option="spool_dir") from exc


def _directory(value: Any) -> Any:
    """Return *value* as an absolute path, None for memory, or unchanged if it is not a path."""
    if value is None or value == "" or value == "memory":
        return None
    try:
        return Path(value).expanduser().absolute()
    except TypeError:
        return value
    except RuntimeError as exc:
        raise ConfigurationError(f"spool_dir={value!r}: {_NO_HOME}", option="spool_dir") from exc


def _several(value: Any, separator: str) -> Any:
    """Return *value* as a tuple, or unchanged if it is neither text nor iterable."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(separator) if part.strip())
    return tuple(value) if isinstance(value, Iterable) else value
