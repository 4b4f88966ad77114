"""PostgreSQL: SQLSTATE, the condition's name as drivers spell it, and the server's English message."""
# ruff: noqa: E501 a row, and above all its pattern, reads best on one line

from prefect_healing.classify.signature import (
    COMES_AND_GOES,
    MAY_RETURN,
    OPEN,
    PASSES,
    STAYS,
    Outlook,
    Signature,
)
from prefect_healing.domain.cause import Cause


def _state(
    code: str, name: str, cause: Cause, outlook: Outlook, confidence: float, said: str, words: str, message: str
) -> Signature:
    in_psycopg = "".join(part.capitalize() for part in name.split("_"))
    in_asyncpg = f"{in_psycopg}Error"
    labelled = rf"(?i:sqlstate|pgcode|error code|code)[\s'\":=(\[]{{1,4}}{code}\b"
    named = rf"(?<![\w'\"/-])(?:{in_psycopg}|{in_asyncpg})(?![\w'\"/-])"
    pattern = rf"{labelled}|{named}" + (rf"|{said}" if said else "")
    all_words = f"{code.lower()} {in_psycopg.lower()} {in_asyncpg.lower()} {words}"
    source = f"PostgreSQL appendix A: {code} {name}"
    example = f"psycopg.errors.{in_psycopg}: {message}"
    return Signature(f"postgresql.{code}", cause, outlook, confidence, pattern, all_words, source, example)


_RELATION = 'relation "flights" does not exist'
_COLUMN = 'column "dep_delay" does not exist'

ROWS = (
    _state("08000", "connection_exception", "transient_network", PASSES, 0.85, "", "", "connection exception"),
    _state("08001", "sqlclient_unable_to_establish_sqlconnection", "upstream_unavailable", PASSES, 0.85, "", "", "no"),
    _state("08003", "connection_does_not_exist", "transient_network", PASSES, 0.85, "", "", "connection does not exist"),
    _state("08004", "sqlserver_rejected_establishment_of_sqlconnection", "config_error", OPEN, 0.7, "", "", "rejected"),
    _state(
        "08006", "connection_failure", "transient_network", PASSES, 0.9,
        r"server closed the connection unexpectedly|lost synchronization with server|no connection to the server|connection was closed in the middle of operation",
        "server closed connection", "server closed the connection unexpectedly",
    ),
    _state("0A000", "feature_not_supported", "code_bug", STAYS, 0.7, "", "", "cached plan must not change result type"),
    _state("22001", "string_data_right_truncation", "data_quality", STAYS, 0.9, r"value too long for type", "long", "value too long for type character varying(3)"),
    _state("22003", "numeric_value_out_of_range", "data_quality", STAYS, 0.9, r"(?:integer|smallint|bigint|numeric field|value) (?:out of range|overflow)", "range overflow", "integer out of range"),
    _state("22007", "invalid_datetime_format", "data_quality", STAYS, 0.9, r"invalid input syntax for type (?:date|time)", "syntax", 'invalid input syntax for type date: "n/a"'),
    _state("22008", "datetime_field_overflow", "data_quality", STAYS, 0.9, r"date/time field value out of range", "range", 'date/time field value out of range: "2013-02-30"'),
    _state("22012", "division_by_zero", "data_quality", STAYS, 0.7, "", "", "division by zero"),
    _state("22021", "character_not_in_repertoire", "data_quality", STAYS, 0.9, r"invalid byte sequence for encoding", "encoding", 'invalid byte sequence for encoding "UTF8": 0xff'),
    _state("22P02", "invalid_text_representation", "data_quality", STAYS, 0.9, r"invalid input syntax for (?:type|integer)|invalid input value for enum", "syntax enum", 'invalid input syntax for type integer: "NA"'),
    _state("22P04", "bad_copy_file_format", "schema_drift", STAYS, 0.85, r"extra data after last expected column|missing data for column", "column", "extra data after last expected column"),
    _state("23502", "not_null_violation", "data_quality", STAYS, 0.95, r"violates not-null constraint", "violates", 'null value in column "dep_time" of relation "flights" violates not-null constraint'),
    _state("23503", "foreign_key_violation", "data_quality", STAYS, 0.93, r"violates foreign key constraint", "violates", 'insert or update on table "flights" violates foreign key constraint "flights_carrier_fkey"'),
    _state("23505", "unique_violation", "data_quality", STAYS, 0.93, r"duplicate key value violates unique constraint|could not create unique index", "duplicate unique", 'duplicate key value violates unique constraint "flights_pkey"'),
    _state("23514", "check_violation", "data_quality", STAYS, 0.95, r"violates check constraint|no partition of relation .{1,100} found for row", "violates partition", 'new row for relation "flights" violates check constraint "flights_month_check"'),
    _state("23P01", "exclusion_violation", "data_quality", STAYS, 0.93, r"violates exclusion constraint", "violates", 'conflicting key value violates exclusion constraint "slots_excl"'),
    _state("25006", "read_only_sql_transaction", "upstream_unavailable", OPEN, 0.65, r"in a read-only transaction", "transaction", "cannot execute INSERT in a read-only transaction"),
    _state("25P03", "idle_in_transaction_session_timeout", "timeout", MAY_RETURN, 0.9, r"due to idle-in-transaction timeout", "idle", "terminating connection due to idle-in-transaction timeout"),
    _state("28000", "invalid_authorization_specification", "auth", STAYS, 0.95, r"no pg_hba\.conf entry for|role \"[^\"]{1,100}\" does not exist|is not permitted to log in", "pg_hba role permitted", 'role "loader" does not exist'),
    _state("28P01", "invalid_password", "auth", STAYS, 0.97, r"password authentication failed for user|no password supplied", "password", 'password authentication failed for user "loader"'),
    _state("3D000", "invalid_catalog_name", "config_error", STAYS, 0.95, r"database \"[^\"]{1,100}\" does not exist", "database", 'database "warehouse" does not exist'),
    _state("3F000", "invalid_schema_name", "schema_drift", STAYS, 0.8, r"schema \"[^\"]{1,100}\" does not exist", "schema", 'schema "staging" does not exist'),
    _state("40001", "serialization_failure", "concurrency_conflict", PASSES, 0.96, r"could not serialize access|due to conflict with recovery|restart transaction", "serialize recovery restart", "could not serialize access due to concurrent update"),
    _state("40P01", "deadlock_detected", "concurrency_conflict", PASSES, 0.96, r"deadlock detected", "deadlock", "deadlock detected"),
    _state("42501", "insufficient_privilege", "auth", STAYS, 0.95, r"permission denied for (?:table|schema|relation|database|sequence|function|view)|must be owner of|violates row-level security policy", "permission owner security", "permission denied for table flights"),
    _state("42601", "syntax_error", "code_bug", STAYS, 0.96, r"(?<!\w)syntax error at (?:or near|end of input)", "syntax", 'syntax error at or near "FORM"'),
    _state("42701", "duplicate_column", "schema_drift", STAYS, 0.75, r"column \"[^\"]{1,100}\" (?:of relation .{1,100})?already exists", "column", 'column "dep_delay" of relation "flights" already exists'),
    _state("42703", "undefined_column", "schema_drift", STAYS, 0.95, r"column \"?[\w.]{1,100}\"? (?:of relation \"?[\w.]{1,100}\"? )?does not exist", "column", _COLUMN),
    _state("42704", "undefined_object", "schema_drift", STAYS, 0.7, r"(?:type|index|constraint) \"[^\"]{1,100}\" (?:for .{1,100})?does not exist", "type index constraint", 'type "carrier_code" does not exist'),
    _state("42710", "duplicate_object", "concurrency_conflict", OPEN, 0.5, "", "", 'type "carrier_code" already exists'),
    _state("42803", "grouping_error", "code_bug", STAYS, 0.85, r"must appear in the GROUP BY clause", "group", 'column "f.carrier" must appear in the GROUP BY clause or be used in an aggregate function'),
    _state("42804", "datatype_mismatch", "schema_drift", STAYS, 0.85, r"column \"[^\"]{1,100}\" is of type .{1,60} but expression is of type", "type", 'column "dep_time" is of type integer but expression is of type text'),
    _state("42883", "undefined_function", "code_bug", STAYS, 0.75, r"(?:function|operator) .{1,200}does not exist", "function operator", "function median(integer) does not exist"),
    _state("42P01", "undefined_table", "schema_drift", STAYS, 0.85, r"relation \"[^\"]{1,200}\" does not exist", "relation", _RELATION),
    _state("42P07", "duplicate_table", "concurrency_conflict", OPEN, 0.5, r"relation \"[^\"]{1,200}\" already exists", "relation", 'relation "flights" already exists'),
    _state("53100", "disk_full", "resource_exhausted", STAYS, 0.95, r"could not (?:extend|write to) file .{1,200}(?:No space left|only wrote)", "extend write", 'could not extend file "base/16384/2619": No space left on device'),
    _state("53200", "out_of_memory", "resource_exhausted", MAY_RETURN, 0.9, r"\bout of (?:shared )?memory\b", "memory", "out of memory"),
    _state("53300", "too_many_connections", "resource_exhausted", COMES_AND_GOES, 0.95, r"too many (?:clients already|connections)|remaining connection slots are reserved", "clients connections slots", "sorry, too many clients already"),
    _state("53400", "configuration_limit_exceeded", "resource_exhausted", STAYS, 0.85, r"temporary file size exceeds temp_file_limit", "temp_file_limit", "temporary file size exceeds temp_file_limit (1024kB)"),
    _state("54000", "program_limit_exceeded", "resource_exhausted", STAYS, 0.75, r"the number of columns exceeds|row is too big", "columns row", "row is too big: size 8168, maximum size 8160"),
    _state("55006", "object_in_use", "concurrency_conflict", COMES_AND_GOES, 0.88, r"is being accessed by other users", "accessed", 'database "warehouse" is being accessed by other users'),
    _state("55P03", "lock_not_available", "concurrency_conflict", PASSES, 0.95, r"could not obtain lock on|due to lock timeout", "lock", "canceling statement due to lock timeout"),
    _state("57014", "query_canceled", "timeout", MAY_RETURN, 0.9, r"canceling statement due to statement timeout", "canceling", "canceling statement due to statement timeout"),
    _state("57P01", "admin_shutdown", "upstream_unavailable", PASSES, 0.93, r"terminating connection due to administrator command", "terminating", "terminating connection due to administrator command"),
    _state("57P02", "crash_shutdown", "upstream_unavailable", PASSES, 0.9, r"terminating connection because of crash of another server process", "terminating", "terminating connection because of crash of another server process"),
    _state("57P03", "cannot_connect_now", "upstream_unavailable", PASSES, 0.95, r"the database system is (?:starting up|shutting down|in recovery mode|not yet accepting connections|not accepting connections)", "system", "the database system is starting up"),
    _state("58030", "io_error", "infra_crash", OPEN, 0.85, "", "", "could not fsync file"),
    _state("XX000", "internal_error", "infra_crash", OPEN, 0.6, "", "", "cache lookup failed for relation 16390"),
    _state("XX001", "data_corrupted", "infra_crash", STAYS, 0.9, r"invalid page in block|could not read block", "page block", "invalid page in block 7 of relation base/16384/2619"),
    Signature(
        "postgresql.25P02", "code_bug", STAYS, 0.6, r"current transaction is aborted, commands ignored|InFailedSqlTransaction",
        "aborted infailedsqltransaction", "PostgreSQL appendix A: 25P02 in_failed_sql_transaction",
        "psycopg.errors.InFailedSqlTransaction: current transaction is aborted, commands ignored until end of transaction block",
        aftermath=True,
    ),
    Signature(
        "postgresql.unreachable", "upstream_unavailable", PASSES, 0.86,
        r"connection to server (?:at|on socket) .{1,200} failed: (?:Connection refused|timeout expired|Connection timed out|No route|could not receive|server closed|No such file)"
        r"|could not connect to server\b|connection is bad: no error details|(?:Is|is) the server running (?:on that host|locally)",
        "server connection", "libpq connection messages",
        'psycopg.OperationalError: connection failed: connection to server at "10.0.0.7", port 5432 failed: Connection refused',
    ),
    Signature(
        "postgresql.connect_timeout", "timeout", PASSES, 0.88,
        r"connection timeout expired|connection to server at .{1,200} failed: (?:timeout expired|Connection timed out)",
        "timeout timed", "libpq connect_timeout; psycopg ConnectionTimeout", "psycopg.errors.ConnectionTimeout: connection timeout expired",
    ),
)
