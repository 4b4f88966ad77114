"""SQLite: result codes by their English messages."""
# ruff: noqa: E501 a row, and above all its pattern, reads best on one line

from prefect_healing.classify.signature import COMES_AND_GOES, OPEN, PASSES, STAYS, Outlook, Signature
from prefect_healing.domain.cause import Cause


def _code(
    name: str, cause: Cause, outlook: Outlook, confidence: float, said: str, words: str, message: str, raised: str = "OperationalError"
) -> Signature:
    return Signature(
        f"sqlite.{name}", cause, outlook, confidence, said, words, f"SQLite result codes: {name}", f"sqlite3.{raised}: {message}"
    )


ROWS = (
    _code("SQLITE_BUSY", "concurrency_conflict", PASSES, 0.96, r"\bdatabase is locked\b|\bSQLITE_BUSY", "locked sqlite_busy", "database is locked"),
    _code("SQLITE_LOCKED", "concurrency_conflict", COMES_AND_GOES, 0.93, r"\bdatabase (?:table|schema) is locked\b|\bSQLITE_LOCKED", "locked sqlite_locked", "database table is locked: flights"),
    _code("SQLITE_ERROR.column", "schema_drift", STAYS, 0.95, r"\bno such column: |\bhas no column named ", "column", "no such column: dep_delay"),
    _code("SQLITE_ERROR.table", "schema_drift", STAYS, 0.85, r"\bno such (?:table|view|index): ", "such", "no such table: flights"),
    _code("SQLITE_ERROR.width", "schema_drift", STAYS, 0.9, r"\btable \S{1,200} has \d+ columns but \d+ values were supplied|\b\d+ values for \d+ columns", "columns", "table flights has 19 columns but 18 values were supplied"),
    _code("SQLITE_ERROR.syntax", "code_bug", STAYS, 0.9, r"\bnear \".{1,200}\": syntax error|\bincomplete input$|\bunrecognized token: ", "syntax incomplete unrecognized", 'near "FORM": syntax error'),
    _code("SQLITE_ERROR.function", "code_bug", STAYS, 0.85, r"\bno such function: |\bwrong number of arguments to function|\bmisuse of aggregate|\bambiguous column name: ", "function misuse ambiguous", "no such function: median"),
    _code("SQLITE_ERROR.exists", "concurrency_conflict", OPEN, 0.5, r"\b(?:table|index) \S{1,200} already exists", "already", "table flights already exists"),
    _code("SQLITE_CONSTRAINT_UNIQUE", "data_quality", STAYS, 0.94, r"\b(?:UNIQUE|PRIMARY KEY) constraint failed|\bcolumns? .{1,200} (?:is|are) not unique", "unique primary", "UNIQUE constraint failed: flights.id", "IntegrityError"),
    _code("SQLITE_CONSTRAINT_NOTNULL", "data_quality", STAYS, 0.95, r"\bNOT NULL constraint failed", "null", "NOT NULL constraint failed: flights.dep_time", "IntegrityError"),
    _code("SQLITE_CONSTRAINT_CHECK", "data_quality", STAYS, 0.95, r"\bCHECK constraint failed", "check", "CHECK constraint failed: month between 1 and 12", "IntegrityError"),
    _code("SQLITE_CONSTRAINT_FOREIGNKEY", "data_quality", STAYS, 0.93, r"\bFOREIGN KEY constraint failed", "foreign", "FOREIGN KEY constraint failed", "IntegrityError"),
    _code("SQLITE_CONSTRAINT_DATATYPE", "data_quality", STAYS, 0.9, r"\bcannot store \w+ value in \w+ column", "store", "cannot store TEXT value in INTEGER column flights.dep_time", "IntegrityError"),
    _code("SQLITE_MISMATCH", "data_quality", STAYS, 0.88, r"\bdatatype mismatch\b", "datatype", "datatype mismatch", "IntegrityError"),
    _code("SQLITE_FULL", "resource_exhausted", STAYS, 0.95, r"\bdatabase or disk is full\b", "disk", "database or disk is full"),
    _code("SQLITE_IOERR", "infra_crash", OPEN, 0.85, r"\bdisk I/O error\b", "disk", "disk I/O error"),
    _code("SQLITE_CANTOPEN", "config_error", STAYS, 0.88, r"\bunable to open database\b", "unable", "unable to open database file"),
    _code("SQLITE_READONLY", "config_error", STAYS, 0.9, r"\battempt to write a readonly database\b", "readonly", "attempt to write a readonly database"),
    _code("SQLITE_CORRUPT", "infra_crash", STAYS, 0.9, r"\bdatabase disk image is malformed\b", "malformed", "database disk image is malformed", "DatabaseError"),
    _code("SQLITE_NOTADB", "config_error", STAYS, 0.85, r"\bfile is not a database\b|\bfile is encrypted or is not a database\b", "database", "file is not a database", "DatabaseError"),
    _code("SQLITE_TOOBIG", "code_bug", STAYS, 0.8, r"\bstring or blob too big\b|\btoo many SQL variables\b|\bExpression tree is too large\b|\btoo many terms in compound SELECT\b", "blob many expression", "too many SQL variables"),
    _code("SQLITE_INTERRUPT", "timeout", OPEN, 0.6, r"^(?:\w+\.)?OperationalError: interrupted$", "interrupted", "interrupted"),
    _code("bindings", "code_bug", STAYS, 0.88, r"\bIncorrect number of bindings supplied|\bYou did not supply a value for binding|\bError binding parameter|\btype '\w+' is not supported", "bindings binding supported", "Incorrect number of bindings supplied. The current statement uses 3, and there are 2 supplied.", "ProgrammingError"),
    _code("threads", "code_bug", STAYS, 0.88, r"\bSQLite objects created in a thread can only be used in that same thread", "thread", "SQLite objects created in a thread can only be used in that same thread.", "ProgrammingError"),
    Signature(
        "sqlite.closed", "code_bug", STAYS, 0.65, r"\bCannot operate on a closed (?:database|cursor)\b", "closed",
        "CPython sqlite3: ProgrammingError", "sqlite3.ProgrammingError: Cannot operate on a closed database.", aftermath=True,
    ),
)
