"""
ClickHouse's error codes by name, sorted by the action that helps.

Names and numbers are those of ``src/Common/ErrorCodes.cpp`` in ClickHouse. The data errors are
those that an insert of JSONEachRow can get from engine 26.9. A code in none of the tables is
retried: a retry loses no row, a rejection could.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "DATA_CODES",
    "EXPRESSION_CODES",
    "HTTP_REMEDIES",
    "HTTP_SETUP_REMEDIES",
    "SETUP_REMEDIES",
    "TRANSIENT_REMEDIES",
    "Code",
    "HttpStatus",
]


# Plain integers, here and below: an IntEnum of this size, or importing http, takes 1 to 5 ms of
# every import of the package.
class Code:
    """Error codes, under ClickHouse's own names."""

    CANNOT_PARSE_TEXT: Final = 6
    PARAMETER_OUT_OF_BOUND: Final = 12
    NO_SUCH_COLUMN_IN_TABLE: Final = 16
    NUMBER_OF_COLUMNS_DOESNT_MATCH: Final = 20
    CANNOT_PARSE_ESCAPE_SEQUENCE: Final = 25
    CANNOT_PARSE_QUOTED_STRING: Final = 26
    CANNOT_PARSE_INPUT_ASSERTION_FAILED: Final = 27
    ATTEMPT_TO_READ_AFTER_EOF: Final = 32
    CANNOT_READ_ALL_DATA: Final = 33
    BAD_ARGUMENTS: Final = 36
    CANNOT_PARSE_DATE: Final = 38
    CANNOT_PARSE_DATETIME: Final = 41
    NUMBER_OF_ARGUMENTS_DOESNT_MATCH: Final = 42
    ILLEGAL_TYPE_OF_ARGUMENT: Final = 43
    ILLEGAL_COLUMN: Final = 44
    UNKNOWN_FUNCTION: Final = 46
    UNKNOWN_IDENTIFIER: Final = 47
    NOT_IMPLEMENTED: Final = 48
    UNKNOWN_TYPE: Final = 50
    TYPE_MISMATCH: Final = 53
    STORAGE_REQUIRES_PARAMETER: Final = 55
    UNKNOWN_TABLE: Final = 60
    SYNTAX_ERROR: Final = 62
    ARGUMENT_OUT_OF_BOUND: Final = 69
    CANNOT_CONVERT_TYPE: Final = 70
    CANNOT_PARSE_NUMBER: Final = 72
    UNKNOWN_FORMAT: Final = 73
    INCORRECT_QUERY: Final = 80
    UNKNOWN_DATABASE: Final = 81
    UNKNOWN_SETTING: Final = 115
    INCORRECT_DATA: Final = 117
    TOO_LARGE_ARRAY_SIZE: Final = 128
    CANNOT_READ_ARRAY_FROM_TEXT: Final = 130
    TOO_LARGE_STRING_SIZE: Final = 131
    ZERO_ARRAY_OR_TUPLE_INDEX: Final = 135
    ILLEGAL_DIVISION: Final = 153
    TIMEOUT_EXCEEDED: Final = 159
    READONLY: Final = 164
    THERE_IS_NO_PROFILE: Final = 180
    SIZES_OF_ARRAYS_DONT_MATCH: Final = 190
    UNKNOWN_USER: Final = 192
    WRONG_PASSWORD: Final = 193
    REQUIRED_PASSWORD: Final = 194
    IP_ADDRESS_NOT_ALLOWED: Final = 195
    UNKNOWN_QUOTA: Final = 199
    QUOTA_EXCEEDED: Final = 201
    TOO_MANY_SIMULTANEOUS_QUERIES: Final = 202
    SOCKET_TIMEOUT: Final = 209
    NETWORK_ERROR: Final = 210
    TABLE_IS_DROPPED: Final = 218
    NO_ZOOKEEPER: Final = 225
    MEMORY_LIMIT_EXCEEDED: Final = 241
    TABLE_IS_READ_ONLY: Final = 242
    NOT_ENOUGH_SPACE: Final = 243
    INVALID_PARTITION_VALUE: Final = 248
    # Overload; but a data error if the text says "Too many partitions". The text decides in no
    # other case.
    TOO_MANY_PARTS: Final = 252
    ALL_CONNECTION_TRIES_FAILED: Final = 279
    TOO_FEW_LIVE_REPLICAS: Final = 285
    DATABASE_ACCESS_DENIED: Final = 291
    TOO_DEEP_RECURSION: Final = 306
    VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE: Final = 321
    SUPPORT_IS_DISABLED: Final = 344
    CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN: Final = 349
    INDEX_OF_POSITIONAL_ARGUMENT_IS_OUT_OF_RANGE: Final = 353
    CANNOT_PARSE_UUID: Final = 376
    NO_COMMON_TYPE: Final = 386
    QUERY_IS_PROHIBITED: Final = 392
    FUNCTION_THROW_IF_VALUE_IS_NON_ZERO: Final = 395
    DECIMAL_OVERFLOW: Final = 407
    CANNOT_COMPILE_REGEXP: Final = 427
    CANNOT_PARSE_DOMAIN_VALUE_FROM_STRING: Final = 441
    SETTING_CONSTRAINT_VIOLATION: Final = 452
    OPENSSL_ERROR: Final = 454
    CANNOT_PARSE_BOOL: Final = 467
    VIOLATED_CONSTRAINT: Final = 469
    INVALID_SETTING_VALUE: Final = 471
    READONLY_SETTING: Final = 472
    CANNOT_FORMAT_DATETIME: Final = 490
    ACCESS_ENTITY_NOT_FOUND: Final = 492
    ACCESS_DENIED: Final = 497
    UNKNOWN_ROLE: Final = 511
    AUTHENTICATION_FAILED: Final = 516
    ZSTD_DECODER_FAILED: Final = 561
    CANNOT_READ_MAP_FROM_TEXT: Final = 563
    TOO_MANY_PARTITIONS: Final = 565
    LZ4_DECODER_FAILED: Final = 618
    CANNOT_NORMALIZE_STRING: Final = 621
    CANNOT_SKIP_UNKNOWN_FIELD: Final = 626
    UNEXPECTED_DATA_AFTER_PARSED_VALUE: Final = 632
    NUMBER_OF_DIMENSIONS_MISMATCHED: Final = 645
    CANNOT_PARSE_IPV4: Final = 675
    CANNOT_PARSE_IPV6: Final = 676
    UNKNOWN_ELEMENT_OF_ENUM: Final = 691
    CLUSTER_DOESNT_EXIST: Final = 701
    TOO_SLOW_PARSING: Final = 718
    USER_EXPIRED: Final = 720
    UNICODE_ERROR: Final = 760
    SESSION_REFUSED: Final = 763
    CANNOT_EXECUTE_PROMQL_QUERY: Final = 768
    TABLE_IS_PERMANENTLY_READ_ONLY: Final = 774
    KEEPER_EXCEPTION: Final = 999
    TABLE_SIZE_LIMIT_EXCEEDED: Final = 1016


class HttpStatus:
    """Statuses of answers that are not ClickHouse's own, named as in `http.HTTPStatus`."""

    UNAUTHORIZED: Final = 401
    FORBIDDEN: Final = 403
    NOT_FOUND: Final = 404
    REQUEST_TIMEOUT: Final = 408
    REQUEST_ENTITY_TOO_LARGE: Final = 413
    TOO_MANY_REQUESTS: Final = 429
    INTERNAL_SERVER_ERROR: Final = 500
    BAD_GATEWAY: Final = 502
    SERVICE_UNAVAILABLE: Final = 503
    GATEWAY_TIMEOUT: Final = 504


# ClickHouse rejects at least one row, and will reject it again. Unless a shard or a view raised it,
# nothing of the insert was stored.
DATA_CODES = frozenset(
    {
        Code.CANNOT_PARSE_TEXT,
        Code.CANNOT_PARSE_ESCAPE_SEQUENCE,
        Code.CANNOT_PARSE_QUOTED_STRING,
        Code.CANNOT_PARSE_INPUT_ASSERTION_FAILED,
        Code.CANNOT_PARSE_DATE,
        Code.CANNOT_PARSE_DATETIME,
        Code.TYPE_MISMATCH,
        Code.ARGUMENT_OUT_OF_BOUND,
        Code.CANNOT_CONVERT_TYPE,
        Code.CANNOT_PARSE_NUMBER,
        Code.INCORRECT_DATA,
        Code.CANNOT_READ_ARRAY_FROM_TEXT,
        Code.TOO_LARGE_STRING_SIZE,
        Code.ILLEGAL_DIVISION,
        Code.SIZES_OF_ARRAYS_DONT_MATCH,
        Code.INVALID_PARTITION_VALUE,
        Code.TOO_DEEP_RECURSION,
        Code.VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE,
        Code.CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN,
        Code.CANNOT_PARSE_UUID,
        Code.FUNCTION_THROW_IF_VALUE_IS_NON_ZERO,
        Code.DECIMAL_OVERFLOW,
        Code.CANNOT_PARSE_DOMAIN_VALUE_FROM_STRING,
        Code.CANNOT_PARSE_BOOL,
        Code.VIOLATED_CONSTRAINT,
        Code.CANNOT_READ_MAP_FROM_TEXT,
        Code.TOO_MANY_PARTITIONS,
        Code.CANNOT_SKIP_UNKNOWN_FIELD,
        Code.UNEXPECTED_DATA_AFTER_PARSED_VALUE,
        Code.NUMBER_OF_DIMENSIONS_MISMATCHED,
        Code.CANNOT_PARSE_IPV4,
        Code.CANNOT_PARSE_IPV6,
        Code.UNKNOWN_ELEMENT_OF_ENUM,
        Code.TOO_SLOW_PARSING,
        Code.UNICODE_ERROR,
    }
)

# Data errors only with the number of a row, or in an expression of the table. Otherwise a shard
# died in the middle of an insert, the request was cut on the way, the disk of the server failed, or
# the set-up is wrong. Found by 300,000 calls of the functions of engine 26.9 with strange values.
EXPRESSION_CODES = frozenset(
    {
        Code.PARAMETER_OUT_OF_BOUND,
        Code.ATTEMPT_TO_READ_AFTER_EOF,
        Code.CANNOT_READ_ALL_DATA,
        Code.BAD_ARGUMENTS,
        Code.NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
        Code.ILLEGAL_TYPE_OF_ARGUMENT,
        Code.SYNTAX_ERROR,
        Code.TOO_LARGE_ARRAY_SIZE,
        Code.ZERO_ARRAY_OR_TUPLE_INDEX,
        Code.INDEX_OF_POSITIONAL_ARGUMENT_IS_OUT_OF_RANGE,
        Code.NO_COMMON_TYPE,
        Code.CANNOT_COMPILE_REGEXP,
        Code.OPENSSL_ERROR,
        Code.CANNOT_FORMAT_DATETIME,
        Code.CANNOT_NORMALIZE_STRING,
        Code.CANNOT_EXECUTE_PROMQL_QUERY,
    }
)

_TABLE = (
    "create the database and table with: audit-handler init (or run sql/node/*.sql with "
    "clickhouse-client)"
)
_GRANT = "grant INSERT on the table, and SELECT(writer_id, seq, event_date), to the user of the dsn"
_COLUMNS = (
    "bring the table up to date (compare it with sql/node/2_table.sql); put a dropped column back"
)

# Only an operator can fix these; each has its remedy.
SETUP_REMEDIES: dict[int, str] = {
    Code.NO_SUCH_COLUMN_IN_TABLE: _COLUMNS,
    Code.UNKNOWN_IDENTIFIER: _COLUMNS,
    Code.ILLEGAL_COLUMN: _COLUMNS,
    Code.STORAGE_REQUIRES_PARAMETER: (
        "create the Distributed table with a sharding key, such as sipHash64(agent_id)"
    ),
    Code.UNKNOWN_TABLE: (
        "create the table with: audit-handler init (or run sql/node/*.sql with clickhouse-client)"
    ),
    Code.UNKNOWN_DATABASE: _TABLE,
    Code.UNKNOWN_SETTING: (
        "the server does not know a setting: see client_options, or upgrade the server"
    ),
    Code.READONLY: "the user or its profile is readonly: use one that may insert",
    Code.UNKNOWN_USER: "check the user in the dsn or CLICKHOUSE_USER",
    Code.WRONG_PASSWORD: (
        "check the password in the dsn, CLICKHOUSE_PASSWORD or CLICKHOUSE_PASSWORD_FILE"
    ),
    Code.REQUIRED_PASSWORD: (
        "give a password in the dsn, CLICKHOUSE_PASSWORD or CLICKHOUSE_PASSWORD_FILE"
    ),
    Code.IP_ADDRESS_NOT_ALLOWED: (
        "allow the user to connect from this address (HOST of CREATE USER)"
    ),
    Code.DATABASE_ACCESS_DENIED: "the database denies access to this user: see its grants",
    Code.SETTING_CONSTRAINT_VIOLATION: (
        "the user's profile forbids changing a setting; allow insert_deduplication_token and "
        "async_insert"
    ),
    Code.ACCESS_DENIED: _GRANT,
    Code.AUTHENTICATION_FAILED: (
        "check user and password in the dsn, CLICKHOUSE_USER, CLICKHOUSE_PASSWORD or "
        "CLICKHOUSE_PASSWORD_FILE"
    ),
    **dict.fromkeys(
        (
            Code.NUMBER_OF_COLUMNS_DOESNT_MATCH,
            Code.BAD_ARGUMENTS,
            Code.UNKNOWN_FUNCTION,
            Code.NOT_IMPLEMENTED,
            Code.UNKNOWN_TYPE,
            Code.SYNTAX_ERROR,
            Code.UNKNOWN_FORMAT,
            Code.INCORRECT_QUERY,
            Code.THERE_IS_NO_PROFILE,
            Code.UNKNOWN_QUOTA,
            Code.TABLE_IS_DROPPED,
            Code.SUPPORT_IS_DISABLED,
            Code.QUERY_IS_PROHIBITED,
            Code.INVALID_SETTING_VALUE,
            Code.READONLY_SETTING,
            Code.ACCESS_ENTITY_NOT_FOUND,
            Code.UNKNOWN_ROLE,
            Code.ZSTD_DECODER_FAILED,
            Code.LZ4_DECODER_FAILED,
            Code.CLUSTER_DOESNT_EXIST,
            Code.USER_EXPIRED,
            Code.SESSION_REFUSED,
            Code.TABLE_IS_PERMANENTLY_READ_ONLY,
            Code.TABLE_SIZE_LIMIT_EXCEEDED,
        ),
        "see the server's message",
    ),
}

_KEEPER = "the replica has lost Keeper: see system.replicas, and whether Keeper runs"
_SHARD = (
    "start the shard, or see the cluster in system.clusters; nothing is acknowledged until then"
)
_LOAD = "the server is overloaded: see system.processes"

# These may pass without help; each has a remedy for the case that it does not.
TRANSIENT_REMEDIES: dict[int, str] = {
    Code.TIMEOUT_EXCEEDED: f"{_LOAD}, and max_execution_time of the user's profile",
    Code.QUOTA_EXCEEDED: "the user's quota is used up: wait for its next interval, or raise it",
    Code.TOO_MANY_SIMULTANEOUS_QUERIES: f"{_LOAD}, and max_concurrent_queries",
    Code.SOCKET_TIMEOUT: _SHARD,
    Code.NETWORK_ERROR: _SHARD,
    Code.NO_ZOOKEEPER: _KEEPER,
    Code.MEMORY_LIMIT_EXCEEDED: (
        "give the server more memory, or lower batch_bytes to send less at once"
    ),
    Code.TABLE_IS_READ_ONLY: _KEEPER,
    Code.NOT_ENOUGH_SPACE: "free space on the server's disk",
    Code.TOO_MANY_PARTS: (
        "send fewer and larger inserts: raise batch_size and flush_interval_ms, or turn on "
        "async_insert; check in system.merges whether merges keep up"
    ),
    Code.ALL_CONNECTION_TRIES_FAILED: _SHARD,
    Code.TOO_FEW_LIVE_REPLICAS: "start the replicas that insert_quorum waits for",
    Code.KEEPER_EXCEPTION: _KEEPER,
}

_PROXY = "see the proxy between here and ClickHouse, and whether ClickHouse runs behind it"

# The same for statuses of answers that are not ClickHouse's own.
HTTP_REMEDIES: dict[int, str] = {
    HttpStatus.REQUEST_TIMEOUT: _PROXY,
    HttpStatus.TOO_MANY_REQUESTS: f"{_LOAD}; or a proxy on the way limits the rate of requests",
    HttpStatus.INTERNAL_SERVER_ERROR: _PROXY,
    HttpStatus.BAD_GATEWAY: _PROXY,
    HttpStatus.SERVICE_UNAVAILABLE: _PROXY,
    HttpStatus.GATEWAY_TIMEOUT: f"{_PROXY}, and how long the proxy waits for an answer",
}
HTTP_SETUP_REMEDIES: dict[int, str] = {
    HttpStatus.UNAUTHORIZED: "check user and password in the dsn",
    HttpStatus.FORBIDDEN: (
        "check user and password in the dsn, and any proxy between here and ClickHouse"
    ),
    HttpStatus.NOT_FOUND: (
        "check host, port and proxy_path of the dsn: no ClickHouse answers there"
    ),
}
