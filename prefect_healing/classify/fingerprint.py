"""The same failure, recognised across runs."""

import re

from prefect_healing.classify.failures import essence
from prefect_healing.classify.lines import lines_of, read_line
from prefect_healing.domain.classification import Classification
from prefect_healing.domain.record import digest

_LINE_CHARS = 2_000
_LAST_CHARS = 8_000


def fingerprint(flow_name: str, classification: Classification, text: str) -> str:
    """Return 16 hexadecimal digits: equal for the same failure of a flow, whatever the run, the day and the counts.

    It is made of the flow, the cause, the signature and the decisive line without its variable parts. Where a text has
    no decisive line its last line stands in.
    """
    line = classification.decisive_line or _last_line(text)
    return digest(flow_name, classification.cause, classification.signature, masked(line, classification.cause))[:16]


def masked(line: str, cause: str = "unknown") -> str:
    """Return a line without what differs from run to run: times, ids, ports, counts, addresses, paths of the moment.

    Names of columns, tables, files and hosts stay, and so do error codes. A line of data quality also loses the values.
    """
    body = read_line(line[:_LINE_CHARS].strip()).body
    body = _as_raised(essence(body))
    for pattern, mask in _MASKS:
        body = pattern.sub(mask, body)
    if cause == "data_quality":
        body = _QUOTED.sub("'*'", body)
    return " ".join(body.split())


def _as_raised(body: str) -> str:
    """Return `module.Name: text` and `Name('text')` as `Name: text`, for they are the same exception."""
    found = _EXCEPTION.match(body)
    if found is None:
        return _CLOSING.sub("", body)
    return f"{found.group(1)}: {_CLOSING.sub('', body[found.end() :])}"


def _last_line(text: str) -> str:
    last = ""
    for line in lines_of(text[-_LAST_CHARS:]):
        last = line.text if line.text.strip() else last
    return last


_CLOSING = re.compile(r"['\"](?:, type=[A-Z]{1,20})?\){1,4}$")
_EXCEPTION = re.compile(r"(?:[A-Za-z_]\w{0,80}\.){0,12}([A-Z]\w{1,100})(?::\s*|\(['\"]?)")
_QUOTED = re.compile(r"'[^'\n]{0,500}'")
_MASKS = (
    (re.compile(r"\b((?:Flow|Task) run|flow run|task run) '[^'\n]{1,200}'"), r"\1 *"),
    (re.compile(r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b"), "*"),
    (re.compile(r"\b0x[0-9a-fA-F]+\b"), "*"),
    (re.compile(r"(?:/private)?(?:/var/folders|/tmp|/var/tmp|/dev/shm)/[^\s'\":,)]+"), "*"),
    (re.compile(r"(?i)[a-z]:\\users\\[^\\\s]{1,80}\\appdata\\local\\temp\\[^\s'\":,)]+"), "*"),
    (re.compile(r"(?<=[\w/])\?[^\s'\"<>]+"), "?*"),
    (re.compile(r"=\((?:[^()\n]{0,300})\)"), "=(*)"),
    (re.compile(r"input_value=[^\n]{0,300}?(?=, input_type|\]|$)"), "input_value=*"),
    (
        re.compile(r"(?i)\b((?:errno|error code|error|sqlstate|status(?: code)?|exit code|code)\W{0,4}-?)(\d+)\b"),
        r"\1<\2>",
    ),
    (re.compile(r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?\b"), "*"),
    (re.compile(r"\b(?=[0-9a-fA-F]{0,64}\d)(?=[0-9a-fA-F]{0,64}[a-fA-F])[0-9a-fA-F]{8,64}\b"), "*"),
    (re.compile(r"(?<![<\d.])\d+(?:[.,:/]\d+)*(?![>\d])"), "*"),
)
