"""Every option can be set in every way, and what cannot work is refused with a remedy."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from audit_handler.config import PROFILES, VARIABLES, Settings
from audit_handler.errors import AuditHandlerError, ConfigurationError

DSN = "http://ch"
IN_MEMORY: dict[str, Any] = {"dsn": "chdb://memory"}


def resolved(environ: dict[str, str] | None = None, /, **options: Any) -> Settings:
    return Settings.resolve({"dsn": DSN, **options}, environ or {})


def with_value(option: str, value: Any) -> dict[str, Any]:
    return {option: value}


# Every variable has an effect

VALUES: dict[str, tuple[str, Any]] = {
    "AUDIT_BATCH_SIZE": ("123", 123),
    "AUDIT_BATCH_BYTES": ("1000000", 1_000_000),
    "AUDIT_FLUSH_INTERVAL": ("250", 250),
    "AUDIT_SPOOL_DIR": ("/var/spool/audit", Path("/var/spool/audit")),
    "AUDIT_MAX_SPOOL_BYTES": ("99000000", 99_000_000),
    "AUDIT_MAX_REJECTED_BYTES": ("1000", 1000),
    "AUDIT_ON_FULL": ("drop", "drop"),
    "AUDIT_BLOCK_TIMEOUT": ("2.5", 2.5),
    "AUDIT_FSYNC": ("always", "always"),
    "AUDIT_HOLD_GIL": ("off", False),
    "AUDIT_CAPTURE": ("all", "all"),
    "OTEL_SERVICE_NAME": ("billing", "billing"),
    "AUDIT_REDACT_KEYS": ("iban, pin", ("iban", "pin")),
    "AUDIT_REDACT_EXCEPT": ("csrf_token, pin", ("csrf_token", "pin")),
    "AUDIT_REDACT_PATTERNS": ("AB[0-9]{2,4}\n cust-\\w+ \n", ("AB[0-9]{2,4}", r"cust-\w+")),
    "AUDIT_REDACT_DEFAULT_KEYS": ("no", False),
    "AUDIT_LIST_REDACTED": ("yes", True),
    "AUDIT_MAX_VALUE_BYTES": ("1000", 1000),
    "AUDIT_ASYNC_INSERT": ("1", True),
    "AUDIT_CREATE_TABLE": ("True", True),
    "AUDIT_SHUTDOWN_TIMEOUT": ("0.5", 0.5),
    "AUDIT_RETRY_MIN_MS": ("5", 5),
    "AUDIT_RETRY_MAX_MS": ("900", 900),
}

TARGET_VALUES: dict[str, tuple[str, Callable[[Settings], Any], Any]] = {
    "CLICKHOUSE_URL": ("http://other", lambda s: s.target.host, "other"),
    "CLICKHOUSE_PORT": ("9999", lambda s: s.target.port, 9999),
    "CLICKHOUSE_USER": ("bob", lambda s: s.target.user, "bob"),
    "CLICKHOUSE_PASSWORD": ("hunter2", lambda s: s.target.password, "hunter2"),
    "CLICKHOUSE_DATABASE": ("trail", lambda s: s.target.database, "trail"),
    "CLICKHOUSE_CLUSTER": ("main", lambda s: s.target.cluster, "main"),
}


def test_this_suite_knows_every_variable_and_every_option_has_one() -> None:
    options = {field.name for field in fields(Settings)} - {"target", "sources"}

    assert (set(VALUES), options) == (set(VARIABLES), set(VARIABLES.values()))


@pytest.mark.parametrize("name", VALUES)
def test_a_variable_sets_its_option(name: str) -> None:
    text, expected = VALUES[name]
    option = VARIABLES[name]

    before, after = (getattr(resolved(environ), option) for environ in ({}, {name: text}))

    assert (expected, False) == (after, before == after)


@pytest.mark.parametrize("name", TARGET_VALUES)
def test_a_variable_of_the_target_has_its_effect(name: str) -> None:
    text, look, expected = TARGET_VALUES[name]

    settings = Settings.resolve({}, {"CLICKHOUSE_URL": DSN, name: text})

    assert expected == look(settings)


@pytest.mark.parametrize("name", [*VALUES, *sorted(set(TARGET_VALUES) - {"CLICKHOUSE_URL"})])
def test_an_empty_variable_is_none(name: str) -> None:
    assert resolved() == resolved({name: ""})


# Which wins


@pytest.mark.parametrize("name", VALUES)
def test_an_argument_wins_over_its_variable(name: str) -> None:
    option = VARIABLES[name]
    default = getattr(resolved(), option)

    settings = resolved({name: VALUES[name][0]}, **{option: default})

    assert default == getattr(settings, option)


def test_the_environment_wins_over_a_profile_and_a_profile_over_the_default() -> None:
    settings = resolved({"AUDIT_BATCH_SIZE": "7"}, profile="low")

    assert (7, 10_000) == (settings.batch_size, settings.flush_interval_ms)


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_can_come_from_the_environment(profile: str) -> None:
    settings = resolved({"AUDIT_PROFILE": profile})

    assert PROFILES[profile] == {
        "batch_size": settings.batch_size,
        "flush_interval_ms": settings.flush_interval_ms,
    }


def test_a_profile_that_is_passed_wins_over_that_of_the_environment() -> None:
    assert 500 == resolved({"AUDIT_PROFILE": "low"}, profile="high").batch_size


@pytest.mark.parametrize("option", ["batch_size", "profile", "spool_dir", "database"])
def test_an_argument_of_none_is_not_given(option: str) -> None:
    environ = {
        "AUDIT_BATCH_SIZE": "7",
        "AUDIT_SPOOL_DIR": "/x",
        "CLICKHOUSE_DATABASE": "trail",
        "AUDIT_PROFILE": "low",
    }

    assert resolved(environ) == resolved(environ, **{option: None})


@pytest.mark.parametrize("option", ["database", "table", "cluster"])
def test_an_argument_wins_over_the_dsn(option: str) -> None:
    environ = {"CLICKHOUSE_DATABASE": "theirs", "CLICKHOUSE_CLUSTER": "theirs"}

    settings = resolved(environ, dsn="http://ch/theirs", **{option: "ours"})

    assert "ours" == getattr(settings.target, option)


def test_the_dsns_database_wins_over_that_of_the_environment() -> None:
    settings = resolved({"CLICKHOUSE_DATABASE": "theirs"}, dsn="http://ch/ours")

    assert "ours" == settings.target.database


def test_client_options_win_over_those_of_the_dsn() -> None:
    settings = resolved(dsn="http://ch?verify=false&compress=lz4", client_options={"verify": True})

    assert {"verify": True, "compress": "lz4"} == settings.target.client_options


# Defaults that depend on the target


def test_only_chdb_gets_its_table_made_unasked() -> None:
    assert (True, False) == (resolved(**IN_MEMORY).create_table, resolved().create_table)


def test_the_spool_is_on_disk_but_for_a_database_in_memory() -> None:
    on_disk = resolved().spool_dir

    assert (None, True, "audit-handler") == (
        resolved(**IN_MEMORY).spool_dir,
        on_disk is not None and on_disk.is_absolute(),
        on_disk.name if on_disk else "",
    )


@pytest.mark.parametrize("value", ["memory", ""])
def test_a_spool_in_memory_can_be_asked_for(value: str) -> None:
    assert resolved(spool_dir=value).spool_dir is None


def test_a_spool_directory_may_start_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/app")

    assert Path("/home/app/spool") == resolved(spool_dir="~/spool").spool_dir


def test_a_relative_spool_directory_stays_when_the_process_goes_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert tmp_path / "spool" == resolved(spool_dir="spool").spool_dir


@pytest.mark.parametrize(
    "value", ["iban,pin", " iban , pin ,", ["iban", "pin"], iter(("iban", "pin"))]
)
def test_redact_keys_may_be_a_list_or_one_text(value: Any) -> None:
    assert ("iban", "pin") == resolved(redact_keys=value).redact_keys


@pytest.mark.parametrize("value", ["csrf_token,pin", ["csrf_token", "pin"]])
def test_exceptions_may_be_a_list_or_one_text(value: Any) -> None:
    assert ("csrf_token", "pin") == resolved(redact_except=value).redact_except


@pytest.mark.parametrize("value", ["a,b\nc{1,2}", ["a,b", "c{1,2}"], iter(("a,b", "c{1,2}"))])
def test_patterns_may_be_a_list_or_lines_because_they_have_commas(value: Any) -> None:
    assert ("a,b", "c{1,2}") == resolved(redact_patterns=value).redact_patterns


# Errors

OUT_OF_RANGE = [
    ("batch_size", 0, "1 to 100,000"),
    ("batch_size", 100_001, "1 to 100,000"),
    ("batch_size", "many", "1 to 100,000"),
    ("batch_size", True, "1 to 100,000"),
    ("batch_size", float("nan"), "1 to 100,000"),
    ("batch_size", 10.5, "1 to 100,000"),
    ("batch_bytes", 65_535, "65,536 to 8,388,608"),
    ("batch_bytes", 8_388_609, "65,536 to 8,388,608"),
    ("flush_interval_ms", 9, "10 to 3,600,000"),
    ("flush_interval_ms", 3_600_001, "10 to 3,600,000"),
    ("max_spool_bytes", 8 * 1024 * 1024 - 1, "8,388,608 to "),
    ("max_rejected_bytes", -1, "0 to "),
    ("block_timeout", -0.1, "0 to 3,600"),
    ("block_timeout", 3_600.5, "0 to 3,600"),
    ("block_timeout", float("inf"), "0 to 3,600"),
    ("max_value_bytes", 255, "256 to 1,048,576"),
    ("max_value_bytes", 1_048_577, "256 to 1,048,576"),
    ("shutdown_timeout", -1, "0 to 3,600"),
    ("shutdown_timeout", 3_601, "0 to 3,600"),
    ("retry_min_ms", 0, "1 to 60,000"),
    ("retry_min_ms", 60_001, "1 to 60,000"),
    ("retry_max_ms", 199, "200 to 3,600,000"),
    ("retry_max_ms", 3_600_001, "200 to 3,600,000"),
    ("on_full", "explode", "block, drop, raise"),
    ("fsync", "sometimes", "never, batch, always"),
    ("capture", "some", "audit, all"),
    ("profile", "huge", "low, medium, high"),
]


@pytest.mark.parametrize(("option", "value", "remedy"), OUT_OF_RANGE, ids=str)
def test_a_bad_option_is_named_with_its_value_and_its_range(
    option: str, value: Any, remedy: str
) -> None:
    with pytest.raises(ConfigurationError) as raised:
        resolved(**{option: value})

    assert re.search(re.escape(f"{option}={value!r}") + ".*; use .*" + remedy, str(raised.value))
    assert option == raised.value.option


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("batch_size", 1),
        ("batch_size", 100_000),
        ("batch_bytes", 65_536),
        ("batch_bytes", 8_388_608),
        ("flush_interval_ms", 10),
        ("flush_interval_ms", 3_600_000),
        ("max_spool_bytes", 8_388_608),
        ("max_rejected_bytes", 0),
        ("block_timeout", 0),
        ("block_timeout", 3_600),
        ("max_value_bytes", 256),
        ("max_value_bytes", 1_048_576),
        ("shutdown_timeout", 0),
        ("retry_min_ms", 1),
        ("retry_max_ms", 200),
    ],
)
def test_the_ends_of_a_range_belong_to_it(option: str, value: int) -> None:
    assert value == getattr(resolved(**with_value(option, value)), option)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("AUDIT_BATCH_SIZE", "many"),
        ("AUDIT_BATCH_SIZE", "10.5"),
        ("AUDIT_BLOCK_TIMEOUT", "nan"),
        ("AUDIT_BLOCK_TIMEOUT", "10s"),
        ("AUDIT_ASYNC_INSERT", "maybe"),
    ],
)
def test_a_bad_variable_is_named_with_its_value(name: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(f"{name}={text!r} is ")):
        resolved({name: text})


def test_without_a_dsn_both_ways_to_give_one_are_shown() -> None:
    with pytest.raises(ConfigurationError, match=r"dsn=\.\.\..*CLICKHOUSE_URL.*https://user:"):
        Settings.resolve({}, {})


def test_an_unknown_option_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"^batch= is not an option"):
        resolved(batch=3)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("dsn", ""),
        ("dsn", 5),
        ("dsn", "ftp://ch"),
        ("dsn", "http://ch:x"),
        ("dsn", "http://ch/a/b"),
        ("dsn", "chdb://relative"),
        ("client_options", 5),
        ("table", "a b"),
        ("cluster", "a b"),
        ("spool_dir", 5),
        ("redact_keys", [5]),
        ("redact_except", [5]),
        ("redact_patterns", ["("]),
        ("batch", 3),
    ],
)
def test_an_error_carries_its_option(option: str, value: Any) -> None:
    with pytest.raises(ConfigurationError) as raised:
        resolved(**with_value(option, value))

    assert option == raised.value.option


@pytest.mark.parametrize(
    ("variable", "option"), [("AUDIT_BATCH_SIZE", "batch_size"), ("AUDIT_PROFILE", "profile")]
)
def test_an_error_about_a_variable_carries_its_option(variable: str, option: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        resolved({variable: "0"})

    assert (option, True) == (raised.value.option, str(raised.value).startswith(variable))


@pytest.mark.parametrize("value", [5, ["iban", 5], [""], [None]], ids=repr)
def test_redact_keys_that_are_no_names_are_refused(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="redact_keys"):
        resolved(redact_keys=value)


@pytest.mark.parametrize("value", [5, ["pin", 5], [""], [None]], ids=repr)
def test_exceptions_that_are_no_names_are_refused(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="redact_except"):
        resolved(redact_except=value)


@pytest.mark.parametrize("value", [5, ["AB", 5], [re.compile("AB")]], ids=repr)
def test_patterns_that_are_no_texts_are_refused(value: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"redact_patterns.*one in a line"):
        resolved(redact_patterns=value)


@pytest.mark.parametrize("pattern", ["(", "x*", "(a+)+b"])
def test_a_pattern_that_cannot_be_used_is_named_with_the_reason(pattern: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        resolved(redact_patterns=["AB", pattern])

    assert f"has {pattern!r}, which " in str(raised.value)


@pytest.mark.parametrize(
    "option",
    ["hold_gil", "redact_default_keys", "list_redacted", "async_insert", "create_table"],
)
def test_a_switch_takes_only_true_and_false(option: str) -> None:
    """``async_insert="false"`` from a YAML file would otherwise switch it on."""
    with pytest.raises(ConfigurationError, match=f"{option}='false'"):
        resolved(**with_value(option, "false"))


@pytest.mark.parametrize("value", [5, ["a"]], ids=repr)
def test_a_spool_directory_that_is_no_path_is_refused(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="spool_dir="):
        resolved(spool_dir=value)


@pytest.mark.parametrize("value", [5, "verify=no"], ids=repr)
def test_client_options_that_are_no_mapping_are_refused(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="client_options"):
        resolved(client_options=value)


@pytest.mark.parametrize("value", [5, b"http://ch"], ids=repr)
def test_a_dsn_that_is_no_text_is_refused(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="dsn"):
        resolved(dsn=value)


@pytest.mark.parametrize("option", ["database", "table", "cluster", "service_name"])
def test_a_name_that_is_no_text_is_refused(option: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{option}=5"):
        resolved(**with_value(option, 5))


def test_a_bad_setting_is_also_a_value_error() -> None:
    with pytest.raises(ValueError, match="batch_size") as raised:
        resolved(batch_size=0)

    assert isinstance(raised.value, AuditHandlerError)


# Passwords


def test_the_password_may_lie_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text(" hunter2é \r\n", encoding="utf-8")

    settings = resolved({"CLICKHOUSE_PASSWORD_FILE": str(tmp_path / "password")})

    assert " hunter2é " == settings.target.password


def test_a_password_that_is_set_wins_over_its_file() -> None:
    environ = {"CLICKHOUSE_PASSWORD": "hunter2", "CLICKHOUSE_PASSWORD_FILE": "/no/such/file"}

    assert "hunter2" == resolved(environ).target.password


@pytest.mark.parametrize("value", ["hunter2", "/hunter2/", "hunter2" * 1_000, "hunter2\0"])
def test_a_password_in_place_of_its_file_is_refused_and_not_shown(value: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        resolved({"CLICKHOUSE_PASSWORD_FILE": value})

    text = "".join(traceback.format_exception(raised.value))
    assert "the file of CLICKHOUSE_PASSWORD_FILE cannot be read: " in text
    assert "give the path of a file that this user may read, not the password itself" in text
    assert "hunter2" not in text


def test_a_password_file_that_is_no_text_is_refused_without_its_content(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_bytes(b"hunter2\xff")

    with pytest.raises(ConfigurationError) as raised:
        resolved({"CLICKHOUSE_PASSWORD_FILE": str(path)})

    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("show", [str, repr])
def test_settings_show_no_credential(show: Callable[[Settings], str]) -> None:
    settings = resolved(
        dsn="http://bob:hunter2@ch?access_token=t0psecret",
        client_options={"proxy": "http://me:pr0xy@p"},
    )

    assert not re.search("hunter2|t0psecret|pr0xy", show(settings))


@pytest.mark.parametrize(("option", "value", "remedy"), OUT_OF_RANGE, ids=str)
def test_an_error_shows_no_credential(option: str, value: Any, remedy: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        resolved({"CLICKHOUSE_PASSWORD": "hunter2"}, dsn="http://b:hunter2@ch", **{option: value})

    assert ("hunter2" in str(raised.value), remedy in str(raised.value)) == (False, True)


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("AUDIT_BATCH_SIZE", "0"),
        ("AUDIT_ON_FULL", "'explode'"),
        ("AUDIT_PROFILE", "'huge'"),
        ("CLICKHOUSE_DATABASE", "'a-b'"),
    ],
)
def test_a_value_of_the_environment_is_refused_under_its_name_there(
    variable: str, text: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"^{variable}={text} is "):
        resolved({variable: text.strip("'")})


def test_an_argument_is_refused_under_its_own_name_whatever_the_environment_says() -> None:
    with pytest.raises(ConfigurationError, match=r"^batch_size=0 is "):
        resolved({"AUDIT_BATCH_SIZE": "5"}, batch_size=0)


def test_an_argument_hides_a_variable_that_cannot_be_read() -> None:
    settings = resolved(
        {"AUDIT_BATCH_SIZE": "many", "AUDIT_ASYNC_INSERT": "x"}, batch_size=7, async_insert=True
    )

    assert (7, True) == (settings.batch_size, settings.async_insert)


def test_a_user_without_a_home_directory_is_told_to_name_a_spool(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def without_home(_name: str) -> Path:
        raise RuntimeError("could not determine the home directory")

    monkeypatch.setattr("platformdirs.user_state_path", without_home)

    with pytest.raises(ConfigurationError, match="AUDIT_SPOOL_DIR to an absolute directory"):
        resolved()
    assert Path("/x") == resolved({"AUDIT_SPOOL_DIR": "/x"}).spool_dir


def test_white_space_around_a_variable_is_no_part_of_it() -> None:
    assert "drop" == resolved({"AUDIT_ON_FULL": " drop\n"}).on_full
    assert resolved() == resolved({"AUDIT_ON_FULL": " \n"})


def test_settings_know_where_their_values_came_from() -> None:
    environ = {"CLICKHOUSE_PASSWORD": "hunter2", "AUDIT_FSYNC": "always"}

    sources = resolved(environ, batch_size=5).sources

    assert ("argument", "CLICKHOUSE_PASSWORD", "AUDIT_FSYNC", "argument") == tuple(
        sources[name] for name in ("dsn", "password", "fsync", "batch_size")
    )
