"""Error numbers of the operating system, as Python and shells print them."""
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

_SOURCE = "POSIX <errno.h>; CPython Objects/exceptions.c (OSError)"


def _errno(
    name: str, number: int, said: str, cause: Cause, outlook: Outlook, confidence: float, raised: str = "OSError"
) -> Signature:
    pattern = rf"\[Errno {number}\]|(?<!\w){name}(?!\w)|(?i:\b{said}\b)"
    longest_word = max(said.lower().replace("-", " ").replace("/", " ").split(), key=len)
    example = f"{raised}: [Errno {number}] {said}"
    return Signature(
        f"errno.{name}",
        cause,
        outlook,
        confidence,
        pattern,
        f"{number} {name.lower()} {longest_word}",
        _SOURCE,
        example,
    )


ROWS = (
    _errno("ECONNREFUSED", 111, "Connection refused", "upstream_unavailable", PASSES, 0.85, "ConnectionRefusedError"),
    _errno("ECONNRESET", 104, "Connection reset by peer", "transient_network", PASSES, 0.93, "ConnectionResetError"),
    _errno("ECONNABORTED", 103, "Software caused connection abort", "transient_network", PASSES, 0.85),
    _errno("EPIPE", 32, "Broken pipe", "transient_network", PASSES, 0.75, "BrokenPipeError"),
    _errno("ENETUNREACH", 101, "Network is unreachable", "transient_network", PASSES, 0.85),
    _errno("ENETDOWN", 100, "Network is down", "transient_network", PASSES, 0.85),
    _errno("ENETRESET", 102, "Network dropped connection on reset", "transient_network", PASSES, 0.85),
    _errno("EHOSTUNREACH", 113, "No route to host", "transient_network", PASSES, 0.8),
    _errno("EHOSTDOWN", 112, "Host is down", "upstream_unavailable", PASSES, 0.8),
    _errno("ETIMEDOUT", 110, "Connection timed out", "timeout", PASSES, 0.85, "TimeoutError"),
    _errno("ENOTCONN", 107, "Transport endpoint is not connected", "transient_network", PASSES, 0.75),
    _errno("ENOSPC", 28, "No space left on device", "resource_exhausted", STAYS, 0.95),
    _errno("EDQUOT", 122, "Disk quota exceeded", "resource_exhausted", STAYS, 0.95),
    _errno("EFBIG", 27, "File too large", "resource_exhausted", STAYS, 0.8),
    _errno("EMFILE", 24, "Too many open files", "resource_exhausted", MAY_RETURN, 0.95),
    _errno("ENFILE", 23, "Too many open files in system", "resource_exhausted", MAY_RETURN, 0.96),
    _errno("ENOMEM", 12, "Cannot allocate memory", "resource_exhausted", MAY_RETURN, 0.95),
    _errno("ENOBUFS", 105, "No buffer space available", "resource_exhausted", COMES_AND_GOES, 0.85),
    _errno(
        "EAGAIN", 11, "Resource temporarily unavailable", "resource_exhausted", COMES_AND_GOES, 0.75, "BlockingIOError"
    ),
    _errno("EADDRINUSE", 98, "Address already in use", "concurrency_conflict", MAY_RETURN, 0.8),
    _errno("EADDRNOTAVAIL", 99, "Cannot assign requested address", "config_error", MAY_RETURN, 0.6),
    _errno("EDEADLK", 35, "Resource deadlock avoided", "concurrency_conflict", COMES_AND_GOES, 0.85),
    _errno("ENOLCK", 37, "No locks available", "resource_exhausted", MAY_RETURN, 0.8),
    _errno("EBUSY", 16, "Device or resource busy", "concurrency_conflict", MAY_RETURN, 0.8),
    _errno("ETXTBSY", 26, "Text file busy", "concurrency_conflict", COMES_AND_GOES, 0.75),
    _errno("EACCES", 13, "Permission denied", "auth", STAYS, 0.75, "PermissionError"),
    _errno("EPERM", 1, "Operation not permitted", "auth", STAYS, 0.75, "PermissionError"),
    _errno("EROFS", 30, "Read-only file system", "config_error", STAYS, 0.85),
    _errno("ENOENT", 2, "No such file or directory", "config_error", OPEN, 0.5, "FileNotFoundError"),
    _errno("EEXIST", 17, "File exists", "concurrency_conflict", OPEN, 0.5, "FileExistsError"),
    _errno("ENOTDIR", 20, "Not a directory", "config_error", STAYS, 0.65, "NotADirectoryError"),
    _errno("EISDIR", 21, "Is a directory", "config_error", STAYS, 0.65, "IsADirectoryError"),
    _errno("ENOTEMPTY", 39, "Directory not empty", "concurrency_conflict", MAY_RETURN, 0.55),
    _errno("ENAMETOOLONG", 36, "File name too long", "code_bug", STAYS, 0.75),
    _errno("ELOOP", 40, "Too many levels of symbolic links", "config_error", STAYS, 0.8),
    _errno("ENOEXEC", 8, "Exec format error", "dependency_env", STAYS, 0.9),
    _errno("EBADF", 9, "Bad file descriptor", "code_bug", STAYS, 0.6),
    _errno("EXDEV", 18, "Invalid cross-device link", "code_bug", STAYS, 0.8),
    _errno("EIO", 5, "Input/output error", "infra_crash", MAY_RETURN, 0.85),
    _errno("ENODEV", 19, "No such device", "infra_crash", OPEN, 0.7),
    _errno("ESTALE", 116, "Stale file handle", "infra_crash", COMES_AND_GOES, 0.8),
    Signature(
        "errno.ENOENT.data_file",
        "missing_upstream_data",
        OPEN,
        0.75,
        r"No such file or directory: b?['\"][^'\"]{1,400}\.(?:csv|tsv|parquet|jsonl?|ndjson|avro|orc|xlsx?|gz|zip|zst|bz2|feather|arrow|txt|dat|xml)['\"]"
        r"|(?:FileNotFoundError|NoSuchKey)[:( ].{0,200}\.(?:csv|parquet|jsonl?|ndjson|avro|orc|gz|zip)\b",
        "directory filenotfounderror",
        "POSIX ENOENT on a data file",
        "FileNotFoundError: [Errno 2] No such file or directory: '/data/landing/flights-2013-01-05.csv'",
    ),
    Signature(
        "errno.ENOENT.program",
        "dependency_env",
        STAYS,
        0.85,
        r"No such file or directory: b?['\"][\w./-]{1,200}['\"]",
        "directory",
        "CPython subprocess: the program to execute does not exist",
        'Traceback (most recent call last):\n  File "/usr/lib/python3.11/subprocess.py", line 1955, in _execute_child\n'
        "    raise child_exception_type(errno_num, err_msg, err_filename)\nFileNotFoundError: [Errno 2] No such file or directory: 'dbt'",
        frames=r"subprocess\.py\", line \d+, in _execute_child",
    ),
)
