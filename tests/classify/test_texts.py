"""Real formats: what clients, drivers, engines, shells and loggers print, and what it means."""

import pytest

from prefect_healing.classify import classify

CASES = [
    # (text, cause, an unchanged re-run helps)
    (
        "httpx.HTTPStatusError: Server error '503 Service Unavailable' for url 'http://127.0.0.1:8099/flights?day=2013-01-05'\nFor more information check: https://developer.mozilla.org/en-US/docs/Web/HTTP/Status/503",
        "upstream_unavailable",
        True,
    ),
    (
        "httpx.HTTPStatusError: Client error '429 Too Many Requests' for url 'http://vendor.example/flights'",
        "rate_limited",
        True,
    ),
    ("httpx.HTTPStatusError: Client error '401 Unauthorized' for url 'http://vendor.example/flights'", "auth", False),
    ("httpx.HTTPStatusError: Client error '403 Forbidden' for url 'http://vendor.example/flights'", "auth", False),
    (
        "requests.exceptions.HTTPError: 502 Server Error: Bad Gateway for url: https://vendor.example/flights/503",
        "upstream_unavailable",
        True,
    ),
    ("requests.exceptions.HTTPError: 401 Client Error: Unauthorized for url: https://vendor.example/", "auth", False),
    ("urllib.error.HTTPError: HTTP Error 503: Service Unavailable", "upstream_unavailable", True),
    (
        "aiohttp.client_exceptions.ClientResponseError: 504, message='Gateway Timeout', url='https://vendor.example/'",
        "upstream_unavailable",
        True,
    ),
    ("VendorError: request failed with status code 503", "upstream_unavailable", True),
    ("VendorError: vendor answered HTTP 429; Retry-After: 7", "rate_limited", True),
    (
        "anthropic.OverloadedError: Error code: 529 - {'type': 'error', 'error': {'type': 'overloaded_error', 'message': 'Overloaded'}}",
        "upstream_unavailable",
        True,
    ),
    ("curl: (22) The requested URL returned error: 404", "missing_upstream_data", None),
    ("curl: (6) Could not resolve host: vendor.example", "transient_network", None),
    (
        "curl: (7) Failed to connect to vendor.example port 443 after 3 ms: Couldn't connect to server",
        "upstream_unavailable",
        True,
    ),
    ("curl: (28) Operation timed out after 5001 milliseconds with 0 bytes received", "timeout", True),
    ("curl: (18) transfer closed with 1024 bytes remaining to read", "transient_network", True),
    (
        "httpx.RemoteProtocolError: peer closed connection without sending complete message body (received 512 bytes, expected 2048)",
        "transient_network",
        True,
    ),
    ("httpx.ReadTimeout: timed out", "timeout", True),
    ("httpx.ReadTimeout", "timeout", True),
    ("httpx.ConnectTimeout: timed out", "timeout", True),
    ("httpx.PoolTimeout", "timeout", True),
    ("httpx.ConnectError: [Errno 111] Connection refused", "upstream_unavailable", True),
    ("httpx.ConnectError: All connection attempts failed", "upstream_unavailable", True),
    ("httpx.ConnectError: [Errno -3] Temporary failure in name resolution", "transient_network", True),
    ("httpx.ConnectError: [Errno -2] Name or service not known", "transient_network", None),
    (
        "httpx.ConnectError: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired (_ssl.c:1006)",
        "config_error",
        False,
    ),
    ("ConnectionResetError: [Errno 104] Connection reset by peer", "transient_network", True),
    ("BrokenPipeError: [Errno 32] Broken pipe", "transient_network", True),
    (
        "requests.exceptions.ConnectionError: ('Connection aborted.', RemoteDisconnected('Remote end closed connection without response'))",
        "transient_network",
        True,
    ),
    (
        "urllib3.exceptions.MaxRetryError: HTTPConnectionPool(host='127.0.0.1', port=1): Max retries exceeded with url: / (Caused by NewConnectionError('Failed to establish a new connection: [Errno 111] Connection refused'))",
        "upstream_unavailable",
        True,
    ),
    ("OSError: [Errno 28] No space left on device: '/data/out.parquet'", "resource_exhausted", False),
    ("cp: error writing '/data/out': No space left on device", "resource_exhausted", False),
    ("OSError: [Errno 24] Too many open files: 'part-0001.csv'", "resource_exhausted", None),
    ("MemoryError", "resource_exhausted", None),
    (
        "numpy._core._exceptions._ArrayMemoryError: Unable to allocate 74.5 GiB for an array with shape (100000, 100000) and data type float64",
        "resource_exhausted",
        None,
    ),
    (
        "Process for flow run 'red-fox' exited with status code: 137; Process was killed, likely due to an out-of-memory (OOM) condition.",
        "resource_exhausted",
        None,
    ),
    (
        "17:03:11.020 | INFO    | Flow run 'red-fox' - Process for flow run 'red-fox' exited with status code: -9; Process exited due to a SIGKILL signal. Typically caused by the operating system terminating the process for exceeding memory limits, or by manual cancellation.",
        "infra_crash",
        None,
    ),
    ("subprocess.CalledProcessError: Command '['dbt', 'run']' died with <Signals.SIGKILL: 9>.", "infra_crash", None),
    ("command terminated with exit code 143", "infra_crash", True),
    ("Segmentation fault (core dumped)", "infra_crash", None),
    ("Last state: Terminated, reason: OOMKilled, exit code: 137", "resource_exhausted", None),
    ("bash: line 1: dbt: command not found", "dependency_env", False),
    (
        "17:03:11.020 | ERROR   | Flow run 'red-fox' - Crash detected! Execution was aborted by a termination signal.",
        "infra_crash",
        True,
    ),
    (
        "17:03:11.020 | ERROR   | Flow run 'red-fox' - Crash detected! Execution was aborted by Python system exit call.",
        "infra_crash",
        None,
    ),
    ("Flow run exceeded timeout of 5.0 second(s)", "timeout", None),
    ("Task run exceeded timeout of 0.5 second(s)", "timeout", None),
    ("Finished in state TimedOut('Flow run exceeded timeout of 1.0 second(s)', type=FAILED)", "timeout", None),
    (
        "Validation of flow parameters failed with error: ParameterTypeError: Flow run received invalid parameters:\n - n: Input should be a valid integer, unable to parse string as an integer",
        "config_error",
        False,
    ),
    (
        "prefect.exceptions.SignatureMismatchError: Function expects parameters ['a'] but was provided with parameters ['b']",
        "config_error",
        False,
    ),
    ("Flow run encountered an exception: ModuleNotFoundError: No module named 'pyarrow'", "dependency_env", False),
    ("ValueError: Unable to find block document named vendor-key for block type secret", "config_error", False),
    ("ModuleNotFoundError: No module named 'pandas.core.foo'", "dependency_env", False),
    ("ImportError: cannot import name 'X' from 'y' (/app/y.py)", "dependency_env", False),
    ("AttributeError: 'NoneType' object has no attribute 'json'", "code_bug", False),
    ("TypeError: unsupported operand type(s) for -: 'str' and 'int'", "code_bug", False),
    ("NameError: name 'dya' is not defined. Did you mean: 'day'?", "code_bug", False),
    ("ZeroDivisionError: division by zero", "code_bug", False),
    (
        "UnboundLocalError: cannot access local variable 'rows' where it is not associated with a value",
        "code_bug",
        False,
    ),
    ("RecursionError: maximum recursion depth exceeded", "code_bug", False),
    ("KeyError: 'dep_delay'", "code_bug", False),
    ("KeyError: \"['dep_delay'] not in index\"", "schema_drift", False),
    ("KeyError: \"None of [Index(['dep_delay'], dtype='object')] are in the [columns]\"", "schema_drift", False),
    ("ValueError: missing columns ['dep_time']; got ['carrier', 'departure_time']", "schema_drift", False),
    ("ValueError: Usecols do not match columns, columns expected but not found: ['dep_time']", "schema_drift", False),
    ("ValueError: Length mismatch: Expected axis has 18 elements, new values have 19 elements", "schema_drift", False),
    ("sqlite3.OperationalError: no such column: dep_delay", "schema_drift", False),
    ("sqlite3.OperationalError: table flights has no column named dep_delay", "schema_drift", False),
    (
        "sqlalchemy.exc.OperationalError: (sqlite3.OperationalError) no such table: flights\n[SQL: SELECT * FROM flights WHERE note = 'database is locked']\n(Background on this error at: https://sqlalche.me/e/20/e3q8)",
        "schema_drift",
        False,
    ),
    ("sqlalchemy.exc.OperationalError: (sqlite3.OperationalError) database is locked", "concurrency_conflict", True),
    ("sqlite3.IntegrityError: UNIQUE constraint failed: flights.id", "data_quality", False),
    (
        "sqlalchemy.exc.IntegrityError: (sqlite3.IntegrityError) NOT NULL constraint failed: flights.dep_time",
        "data_quality",
        False,
    ),
    ("sqlite3.OperationalError: database or disk is full", "resource_exhausted", False),
    ("sqlite3.OperationalError: unable to open database file", "config_error", False),
    ('sqlite3.OperationalError: near "FORM": syntax error', "code_bug", False),
    (
        'psycopg.errors.UndefinedColumn: column "dep_delay" does not exist\nLINE 1: SELECT dep_delay FROM flights\n               ^\nHINT:  Perhaps you meant to reference the column "flights.departure_delay".',
        "schema_drift",
        False,
    ),
    (
        'sqlalchemy.exc.ProgrammingError: (psycopg.errors.UndefinedTable) relation "flights" does not exist\nLINE 1: SELECT * FROM flights',
        "schema_drift",
        False,
    ),
    ('ERROR:  column "dep_delay" of relation "flights" does not exist at character 24', "schema_drift", False),
    (
        "2026-01-05 03:00:01.123 UTC [812] ERROR:  deadlock detected\n2026-01-05 03:00:01.123 UTC [812] DETAIL:  Process 812 waits for ShareLock on transaction 743; blocked by process 815.",
        "concurrency_conflict",
        True,
    ),
    (
        "psycopg.errors.SerializationFailure: could not serialize access due to concurrent update",
        "concurrency_conflict",
        True,
    ),
    ("psycopg.errors.LockNotAvailable: canceling statement due to lock timeout", "concurrency_conflict", True),
    ("psycopg.errors.QueryCanceled: canceling statement due to statement timeout", "timeout", None),
    (
        'psycopg.errors.UniqueViolation: duplicate key value violates unique constraint "flights_pkey"\nDETAIL:  Key (id)=(7) already exists.',
        "data_quality",
        False,
    ),
    ("psycopg.errors.InsufficientPrivilege: permission denied for table flights", "auth", False),
    (
        'psql: error: connection to server at "127.0.0.1", port 5432 failed: FATAL:  password authentication failed for user "loader"',
        "auth",
        False,
    ),
    (
        'psql: error: connection to server at "127.0.0.1", port 5432 failed: FATAL:  database "warehouse" does not exist',
        "config_error",
        False,
    ),
    (
        'psql: error: connection to server at "127.0.0.1", port 5432 failed: Connection refused\n\tIs the server running on that host and accepting TCP/IP connections?',
        "upstream_unavailable",
        True,
    ),
    (
        "psycopg.OperationalError: connection failed: FATAL:  sorry, too many clients already",
        "resource_exhausted",
        True,
    ),
    (
        "psycopg.OperationalError: server closed the connection unexpectedly\n\tThis probably means the server terminated abnormally\n\tbefore or while processing the request.",
        "transient_network",
        True,
    ),
    ("psycopg.errors.AdminShutdown: terminating connection due to administrator command", "upstream_unavailable", True),
    ("FATAL:  the database system is starting up", "upstream_unavailable", True),
    ('asyncpg.exceptions.UndefinedColumnError: column "dep_delay" does not exist', "schema_drift", False),
    (
        "sqlalchemy.exc.TimeoutError: QueuePool limit of size 5 overflow 10 reached, connection timed out, timeout 30.00",
        "resource_exhausted",
        True,
    ),
    ("sqlalchemy.exc.NoSuchModuleError: Can't load plugin: sqlalchemy.dialects:snowflake", "dependency_env", False),
    ("ValueError: could not convert string to float: 'N/A'", "data_quality", False),
    (
        "UnicodeDecodeError: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte",
        "data_quality",
        False,
    ),
    ("json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)", "data_quality", None),
    ("pandas.errors.EmptyDataError: No columns to parse from file", "missing_upstream_data", None),
    (
        "FileNotFoundError: [Errno 2] No such file or directory: '/data/landing/2013-01-05.csv'",
        "missing_upstream_data",
        None,
    ),
    ("PermissionError: [Errno 13] Permission denied: '/data/out'", "auth", False),
    (
        '{"timestamp": "2026-01-05T03:00:00Z", "level": "error", "event": "load failed: database is locked"}',
        "concurrency_conflict",
        True,
    ),
    (
        'ts=2026-01-05T03:00:00Z level=error msg="dial tcp 10.0.0.7:5432: connect: connection refused"',
        "upstream_unavailable",
        True,
    ),
    (
        "[2026-01-05, 03:00:01 UTC] {taskinstance.py:1937} ERROR - Task failed with exception\nTraceback (most recent call last):\n  File \"/dag.py\", line 3, in f\n    run()\nValueError: missing columns ['dep_time']",
        "schema_drift",
        False,
    ),
    ("RuntimeError: load failed", "unknown", None),
    ("mypkg.LoadRefused: the moon is wrong", "unknown", None),
    ("all is well\nnothing to see", "unknown", None),
    ("", "unknown", None),
    ("\x00\x01\x02\ufffd\x00", "unknown", None),
]


@pytest.mark.parametrize(
    ("text", "cause", "rerun_helps"), CASES, ids=lambda value: str(value)[:60] if isinstance(value, str) else None
)
def test_a_text_is_told_by_its_format(text: str, cause: str, rerun_helps: bool | None):
    verdict = classify(text)

    assert (verdict.cause, verdict.rerun_helps) == (cause, rerun_helps), verdict


@pytest.mark.parametrize(
    ("text", "cause", "rerun_helps"),
    [case for case in CASES if case[1] != "unknown"],
    ids=range(len([case for case in CASES if case[1] != "unknown"])),
)
def test_noise_and_an_attempt_that_recovered_change_nothing(text: str, cause: str, rerun_helps: bool | None):
    noise = "\n".join(  # noqa: FLY002 - a line each reads best
        [
            "17:03:10.001 | INFO    | Flow run 'red-fox' - Beginning flow run 'red-fox' for flow 'nightly'",
            "17:03:10.002 | WARNING | Task run 'extract-0' - slow answer: 503 Service Unavailable, retrying in 2 s",
            "17:03:10.003 | INFO    | Task run 'extract-0' - Task run failed with exception: ConnectError('[Errno 111] Connection refused') - Retry 1/3 will start immediately",
            "17:03:12.004 | INFO    | Task run 'extract-0' - Finished in state Completed()",
            "/venv/x.py:3: DeprecationWarning: column 'x' does not exist any more",
            "loaded 842 rows for 2013-01-05",
        ]
    )

    verdict = classify(f"{noise}\n{text}")

    assert (verdict.cause, verdict.rerun_helps) == (cause, rerun_helps), verdict
    assert verdict.decisive_line == classify(text).decisive_line
