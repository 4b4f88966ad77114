"""Python's own exceptions and those of the libraries that shape data."""
# ruff: noqa: E501 a row, and above all its pattern, reads best on one line

from prefect_healing.classify.signature import (
    MAY_RETURN,
    OPEN,
    STAYS,
    Signature,
    named,
    words_of,
)

_BUILTIN = "CPython built-in exceptions"
_ROW_LOOKUP = r"(?m)^\s*[^#\n]{0,300}\b\w*(?:row|record|rec|item|payload|data|df|frame|flight|response|body|json|event|entry|doc|message|batch)s?\w*(?:\[[^\]\n]{0,80}\]){0,2}\[[\"']"

ROWS = (
    Signature(
        "python.module_missing", "dependency_env", STAYS, 0.95, named("ModuleNotFoundError") + r"|No module named ['\"]?[\w.]+",
        "modulenotfounderror module", _BUILTIN + ": ModuleNotFoundError", "ModuleNotFoundError: No module named 'pyarrow'",
    ),
    Signature(
        "python.import", "dependency_env", STAYS, 0.85,
        named("ImportError", "PackageNotFoundError", "DistributionNotFound", "VersionConflict", "PrefectImportError") + r"|cannot import name '|Missing optional dependency '",
        words_of("ImportError", "PackageNotFoundError", "DistributionNotFound", "VersionConflict", "PrefectImportError") + " import dependency",
        _BUILTIN + ": ImportError; importlib.metadata; pandas import_optional_dependency",
        "ImportError: cannot import name 'DataContext' from 'great_expectations' (/app/great_expectations/__init__.py)",
    ),
    Signature(
        "python.shared_library", "dependency_env", STAYS, 0.94,
        r"cannot open shared object file|undefined symbol: |version `GLIBC\w*_[\d.]+' not found|numpy\.dtype size changed, may indicate binary incompatibility|compiled using NumPy 1\.x cannot be run",
        "shared symbol glibc glibcxx incompatibility compiled version", "ld.so(8); numpy binary compatibility",
        "ImportError: libpq.so.5: cannot open shared object file: No such file or directory",
    ),
    Signature(
        "python.missing_columns", "schema_drift", STAYS, 0.95,
        r"(?i)\b(?:missing|unexpected|unknown|extra|renamed)(?: required| expected)? (?:columns?|fields?)\b|\bnot in index\b|\bNone of \[.{1,400}\] are in the \[(?:columns|index)\]|\b(?:columns?|fields?) .{1,200} (?:is |are )?(?:missing|not (?:found|present|in))\b"
        r"|Usecols do not match columns|Length mismatch: Expected axis has|\d+ columns passed, passed data had|schema (?:mismatch|changed|drift)|Number of columns .{0,60}(?:mismatch|does not match)",
        "missing unexpected unknown extra renamed index column columns field fields usecols mismatch schema",
        "pandas indexing and parser messages; loaders that compare columns", "ValueError: missing columns ['dep_time']; got ['carrier', 'departure_time']",
    ),
    Signature(
        "pandas.column_lookup", "schema_drift", STAYS, 0.85, named("KeyError"), "keyerror", "pandas Index.get_loc raises KeyError",
        "Traceback (most recent call last):\n  File \"/app/flow.py\", line 9, in build\n    return frame['dep_delay'].mean()\n"
        "  File \"/venv/pandas/core/indexes/base.py\", line 3812, in get_loc\n    raise KeyError(key) from err\nKeyError: 'dep_delay'",
        frames=r"pandas/(?:core|_libs)/|pandas/_libs",
    ),
    Signature(
        "polars.column", "schema_drift", STAYS, 0.92,
        named("ColumnNotFoundError", "SchemaFieldNotFoundError", "SchemaError", "SchemaErrors", "ArrowInvalid") + r"|Field \"[^\"]{1,100}\" does not exist in schema",
        words_of("ColumnNotFoundError", "SchemaFieldNotFoundError", "SchemaError", "SchemaErrors", "ArrowInvalid") + " schema",
        "polars.exceptions; pandera.errors; pyarrow", "polars.exceptions.ColumnNotFoundError: dep_delay",
    ),
    Signature(
        "python.environ", "config_error", STAYS, 0.95, named("KeyError"), "keyerror", "CPython os.environ raises KeyError",
        "Traceback (most recent call last):\n  File \"/app/flow.py\", line 3, in connect\n    key = os.environ['VENDOR_KEY']\n"
        "  File \"<frozen os>\", line 679, in __getitem__\nKeyError: 'VENDOR_KEY'",
        frames=r"<frozen os>|/os\.py\"|os\.environ\[",
    ),
    Signature(
        "python.record_lookup", "schema_drift", STAYS, 0.65, named("KeyError"), "keyerror", "CPython KeyError on a record that was fetched",
        "Traceback (most recent call last):\n  File \"/app/flow.py\", line 9, in build\n    total += row[\"dep_delay\"]\nKeyError: 'dep_delay'",
        frames=_ROW_LOOKUP,
    ),
    Signature("python.key", "code_bug", STAYS, 0.45, named("KeyError"), "keyerror", _BUILTIN + ": KeyError", "KeyError: 'dep_delay'"),
    Signature(
        "python.programming", "code_bug", STAYS, 0.75, named("AttributeError", "NameError", "UnboundLocalError", "NotImplementedError", "RecursionError"),
        words_of("AttributeError", "NameError", "UnboundLocalError", "NotImplementedError", "RecursionError"), _BUILTIN,
        "AttributeError: 'NoneType' object has no attribute 'json'",
    ),
    Signature(
        "python.type", "code_bug", STAYS, 0.72, named("TypeError", "ZeroDivisionError"), words_of("TypeError", "ZeroDivisionError"), _BUILTIN,
        "TypeError: unsupported operand type(s) for +: 'int' and 'str'",
    ),
    Signature(
        "python.not_called_right", "code_bug", STAYS, 0.85,
        r"\b(?:takes|missing) \d+ (?:required )?positional argument|\bgot an unexpected keyword argument|\bmissing \d+ required (?:positional|keyword-only) argument|object is not (?:callable|subscriptable|iterable)|too many values to unpack|not enough values to unpack|cannot access local variable",
        "argument arguments callable subscriptable iterable unpack variable", _BUILTIN + ": TypeError, ValueError", "TypeError: load() missing 1 required positional argument: 'day'",
    ),
    Signature("python.index", "code_bug", STAYS, 0.55, named("IndexError", "StopIteration", "StopAsyncIteration"), "indexerror stopiteration stopasynciteration", _BUILTIN, "IndexError: list index out of range"),
    Signature("python.assertion", "data_quality", STAYS, 0.4, named("AssertionError"), "assertionerror", _BUILTIN + ": AssertionError", "AssertionError: 3 rows without a carrier"),
    Signature(
        "python.syntax", "code_bug", STAYS, 0.97, r"^(?:SyntaxError|IndentationError|TabError)\b", words_of("SyntaxError", "IndentationError", "TabError"),
        _BUILTIN + ": SyntaxError", '  File "/app/flow.py", line 3\n    retrun x\n           ^\nSyntaxError: invalid syntax',
    ),
    Signature(
        "python.closed_loop", "code_bug", STAYS, 0.6, r"Event loop is closed|I/O operation on closed file|attached to a different loop|client has been closed",
        "loop closed", "CPython asyncio, io", "RuntimeError: Event loop is closed", aftermath=True,
    ),
    Signature(
        "python.running_loop", "code_bug", STAYS, 0.85, r"asyncio\.run\(\) cannot be called from a running event loop|no running event loop|dictionary changed size during iteration",
        "loop dictionary", "CPython asyncio; dict iteration", "RuntimeError: asyncio.run() cannot be called from a running event loop",
    ),
    Signature(
        "python.bad_value", "data_quality", STAYS, 0.75,
        r"could not convert string to float|invalid literal for int\(\) with base|Unable to parse string|Invalid isoformat string|does not match format '|unconverted data remains|day is out of range for month|month must be in 1\.\.12|Out of bounds nanosecond timestamp|cannot convert float NaN to integer|Cannot convert non-finite values|ConversionSyntax",
        "convert literal parse isoformat format unconverted range month bounds nan finite conversionsyntax", "CPython int, float, datetime; pandas to_numeric, to_datetime",
        "ValueError: could not convert string to float: 'N/A'",
    ),
    Signature(
        "python.encoding", "data_quality", STAYS, 0.8, named("UnicodeDecodeError", "UnicodeEncodeError", "UnicodeError", "BadZipFile", "BadGzipFile") + r"|Error tokenizing data|EOF inside string starting at row",
        words_of("UnicodeDecodeError", "UnicodeEncodeError", "UnicodeError", "BadZipFile", "BadGzipFile") + " tokenizing eof", "CPython codecs, zipfile, gzip; pandas parser",
        "UnicodeDecodeError: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte",
    ),
    Signature(
        "python.json", "data_quality", MAY_RETURN, 0.65, named("JSONDecodeError") + r"|Expecting value: line \d+ column \d+|Unterminated string starting at|Extra data: line \d+",
        "jsondecodeerror expecting unterminated extra", "CPython json: JSONDecodeError", "json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)",
    ),
    Signature(
        "python.empty_data", "missing_upstream_data", OPEN, 0.8,
        named("EmptyDataError", "NoDataError") + r"|No columns to parse from file|(?i:\b(?:no (?:rows|data|records|files?|partitions?)(?: were| was)? (?:found|returned|available|received)|0 rows (?:returned|received|extracted)|empty (?:file|response|result|partition)))\b",
        "emptydataerror nodataerror columns rows data records file files partition partitions empty", "pandas.errors.EmptyDataError; extractors that found nothing",
        "pandas.errors.EmptyDataError: No columns to parse from file",
    ),
    Signature(
        "pydantic.settings", "config_error", STAYS, 0.85, r"validation errors? for \w*(?:Settings|Config|Configuration)\b", "validation",
        "pydantic-settings", "pydantic_core._pydantic_core.ValidationError: 1 validation error for VendorSettings\napi_key\n  Field required",
    ),
    Signature(
        "pydantic.missing_field", "schema_drift", STAYS, 0.75, r"(?s)validation errors? for \w.{0,400}(?:Field required|Extra inputs are not permitted)", "validation",
        "pydantic error types missing, extra_forbidden", "pydantic_core._pydantic_core.ValidationError: 1 validation error for Flight\ndep_delay\n  Field required [type=missing]",
    ),
    Signature(
        "pydantic.value", "data_quality", STAYS, 0.65, named("ValidationError") + r"|validation errors? for \w", "validationerror validation",
        "pydantic_core.ValidationError", "pydantic_core._pydantic_core.ValidationError: 1 validation error for Flight\nmonth\n  Input should be less than or equal to 12",
    ),
    Signature(
        "python.timeout", "timeout", MAY_RETURN, 0.7, named("TimeoutError", "TimeoutExpired", "CancelledError"), "timeouterror timeoutexpired cancellederror",
        "CPython TimeoutError, subprocess.TimeoutExpired", "subprocess.TimeoutExpired: Command '['dbt', 'run']' timed out after 600 seconds",
    ),
    Signature(
        "python.gaierror", "transient_network", MAY_RETURN, 0.7, named("gaierror", "NameResolutionError"), "gaierror nameresolutionerror", "CPython socket.gaierror",
        "socket.gaierror: [Errno -8] Servname not supported for ai_socktype",
    ),
    Signature(
        "python.env_missing", "config_error", STAYS, 0.88,
        r"(?i)\b(?:environment variable|env var|setting|configuration key|config key) .{0,100}(?:is |was )?(?:not set|missing|required|undefined|not found)\b|\b(?:missing|required|undefined) (?:environment variable|env var|setting|configuration)\b",
        "environment env setting configuration config", "programs that check their settings", "RuntimeError: environment variable VENDOR_KEY is not set",
    ),
)
