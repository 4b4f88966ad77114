"""What every database driver shares, and SQLAlchemy above them."""
# ruff: noqa: E501 a row, and above all its pattern, reads best on one line

from prefect_healing.classify.signature import (
    COMES_AND_GOES,
    MAY_RETURN,
    OPEN,
    PASSES,
    STAYS,
    Signature,
    named,
    words_of,
)

_ALCHEMY = "SQLAlchemy: sqlalchemy.exc"

ROWS = (
    Signature(
        "sqlalchemy.pool_timeout", "resource_exhausted", COMES_AND_GOES, 0.94,
        r"QueuePool limit of size \d+ overflow -?\d+ reached", "queuepool", _ALCHEMY + ".TimeoutError",
        "sqlalchemy.exc.TimeoutError: QueuePool limit of size 5 overflow 10 reached, connection timed out, timeout 30.00",
    ),
    Signature(
        "sqlalchemy.no_such_table", "schema_drift", STAYS, 0.85, named("NoSuchTableError"), "nosuchtableerror",
        _ALCHEMY + ".NoSuchTableError", "sqlalchemy.exc.NoSuchTableError: flights",
    ),
    Signature(
        "sqlalchemy.no_such_column", "schema_drift", STAYS, 0.88, named("NoSuchColumnError") + r"|Unconsumed column names: ",
        "nosuchcolumnerror unconsumed", _ALCHEMY + ".NoSuchColumnError",
        "sqlalchemy.exc.NoSuchColumnError: Could not locate column in row for column 'dep_delay'",
    ),
    Signature(
        "sqlalchemy.driver", "dependency_env", STAYS, 0.93, named("NoSuchModuleError") + r"|Can't load plugin: sqlalchemy\.dialects",
        "nosuchmoduleerror plugin", _ALCHEMY + ".NoSuchModuleError",
        "sqlalchemy.exc.NoSuchModuleError: Can't load plugin: sqlalchemy.dialects:snowflake",
    ),
    Signature(
        "sqlalchemy.url", "config_error", STAYS, 0.93, r"Could not parse SQLAlchemy URL|Expected string or URL object", "url",
        _ALCHEMY + ".ArgumentError", "sqlalchemy.exc.ArgumentError: Could not parse SQLAlchemy URL from given URL string",
    ),
    Signature(
        "sqlalchemy.usage", "code_bug", STAYS, 0.75,
        named("ArgumentError", "CompileError", "InvalidRequestError", "ResourceClosedError", "DetachedInstanceError", "UnboundExecutionError", "StatementError", "MissingGreenlet", "ObjectNotExecutableError", "MultipleResultsFound"),
        words_of("ArgumentError", "CompileError", "InvalidRequestError", "ResourceClosedError", "DetachedInstanceError", "UnboundExecutionError", "StatementError", "MissingGreenlet", "ObjectNotExecutableError", "MultipleResultsFound"),
        _ALCHEMY, "sqlalchemy.exc.CompileError: Cannot compile Column object until its 'name' is assigned.",
    ),
    Signature(
        "sqlalchemy.stale", "concurrency_conflict", COMES_AND_GOES, 0.85, named("StaleDataError"), "staledataerror",
        "SQLAlchemy: sqlalchemy.orm.exc", "sqlalchemy.orm.exc.StaleDataError: UPDATE statement on table 'jobs' expected to update 1 row(s); 0 were matched.",
    ),
    Signature(
        "sqlalchemy.no_result", "missing_upstream_data", OPEN, 0.65, named("NoResultFound") + r"|No row was found when one was required",
        "noresultfound required", _ALCHEMY + ".NoResultFound", "sqlalchemy.exc.NoResultFound: No row was found when one was required",
    ),
    Signature(
        "sqlalchemy.pending_rollback", "code_bug", STAYS, 0.6, named("PendingRollbackError") + r"|Can't reconnect until invalid transaction is rolled back",
        "pendingrollbackerror reconnect", _ALCHEMY + ".PendingRollbackError",
        "sqlalchemy.exc.PendingRollbackError: This Session's transaction has been rolled back due to a previous exception during flush.", aftermath=True,
    ),
    Signature(
        "db.access_denied", "auth", STAYS, 0.93,
        r"Access denied for user|Login failed for user|ORA-01017|(?i:authentication failed for user)|\(28000\)", "access login ora 28000 authentication",
        "SQLSTATE class 28; MySQL 1045; SQL Server 18456; Oracle ORA-01017",
        "pymysql.err.OperationalError: (1045, \"Access denied for user 'loader'@'10.0.0.3' (using password: YES)\")",
    ),
    Signature(
        "db.column", "schema_drift", STAYS, 0.96,
        r"Unknown column '|Invalid column name '|ORA-00904|(?i:\bcolumn(?:s)? \S{1,100} (?:not found|cannot be (?:resolved|found))\b)|(?i:invalid identifier)", "column ora identifier columns",
        "SQLSTATE 42S22; MySQL 1054; SQL Server 207; Oracle ORA-00904",
        "pymysql.err.OperationalError: (1054, \"Unknown column 'dep_delay' in 'field list'\")",
    ),
    Signature(
        "db.table", "schema_drift", STAYS, 0.83,
        r"Table '[^']{1,200}' doesn't exist|Invalid object name '|ORA-00942|(?i:\btable \S{1,200} does not exist)", "table object ora",
        "SQLSTATE 42S02; MySQL 1146; SQL Server 208; Oracle ORA-00942",
        "pymysql.err.ProgrammingError: (1146, \"Table 'dw.flights' doesn't exist\")",
    ),
    Signature(
        "db.deadlock", "concurrency_conflict", PASSES, 0.93,
        r"(?i)\bdeadlock (?:found|victim)|\block wait timeout exceeded\b|\bwas deadlocked on\b|\bORA-00060\b", "deadlock lock deadlocked ora",
        "SQLSTATE class 40; MySQL 1213, 1205; SQL Server 1205; Oracle ORA-00060",
        "pymysql.err.OperationalError: (1213, 'Deadlock found when trying to get lock; try restarting transaction')",
    ),
    Signature(
        "db.duplicate", "data_quality", STAYS, 0.92,
        r"Duplicate entry '|Violation of (?:PRIMARY|UNIQUE) KEY constraint|ORA-00001|(?i:duplicate key(?: value| error)?)|(?i:unique constraint .{0,100}violated)", "duplicate violation ora unique",
        "SQLSTATE class 23; MySQL 1062; SQL Server 2627; Oracle ORA-00001",
        "pymysql.err.IntegrityError: (1062, \"Duplicate entry '7' for key 'flights.PRIMARY'\")",
    ),
    Signature(
        "db.gone_away", "transient_network", PASSES, 0.9,
        r"MySQL server has gone away|Lost connection to (?:MySQL )?server|ORA-03113|ORA-12170|Communication link failure|connection already closed", "gone lost ora communication already",
        "SQLSTATE class 08; MySQL 2006, 2013; Oracle ORA-03113",
        "pymysql.err.OperationalError: (2013, 'Lost connection to MySQL server during query')",
    ),
    Signature(
        "db.unreachable", "upstream_unavailable", PASSES, 0.86, r"Can't connect to (?:local )?MySQL server|ORA-12541|ORA-12514", "mysql ora",
        "SQLSTATE class 08; MySQL 2002, 2003; Oracle ORA-12541",
        "pymysql.err.OperationalError: (2003, \"Can't connect to MySQL server on 'db' ([Errno 111] Connection refused)\")",
    ),
    Signature(
        "db.integrity", "data_quality", STAYS, 0.8, named("IntegrityError"), "integrityerror", "PEP 249 IntegrityError",
        "pymysql.err.IntegrityError: (1048, \"Column 'dep_time' cannot be null\")",
    ),
    Signature(
        "db.data", "data_quality", STAYS, 0.75, named("DataError"), "dataerror", "PEP 249 DataError",
        "sqlalchemy.exc.DataError: (pymysql.err.DataError) (1406, \"Data too long for column 'carrier' at row 1\")",
    ),
    Signature(
        "db.programming", "code_bug", STAYS, 0.6, named("ProgrammingError", "NotSupportedError"), "programmingerror notsupportederror",
        "PEP 249 ProgrammingError, NotSupportedError", "pymysql.err.ProgrammingError: (1064, 'You have an error in your SQL syntax')",
    ),
    Signature(
        "db.interface", "transient_network", MAY_RETURN, 0.6, named("InterfaceError"), "interfaceerror",
        "PEP 249 InterfaceError", "sqlalchemy.exc.InterfaceError: (pymysql.err.InterfaceError) (0, '')",
    ),
)
