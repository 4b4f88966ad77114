"""What databases, drivers and validators quote of the data when they complain: the values go, the names stay."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

MASK = "[redacted:value]"

_VALUE_CHARS_MAX = 4_000
_SQL_CHARS_MAX = 20_000
_Q = r"\\{0,7}[\"']"  # A quote, perhaps escaped in JSON within JSON.
_LINE_ENDS = r"[\r\n]|\\{1,7}[nr]"
_LINE_END = re.compile(rf"{_LINE_ENDS}|$")
_TEXT_END = re.compile(rf'{_LINE_ENDS}|(?<!\\)"(?=\s*[,}}\]])|$')  # Of the line, or of the JSON text it stands in.
_OPENING = re.compile(rf"{_Q}\Z")
_CLOSING = re.compile(rf"\A{_Q}")
# What follows a closing quote or bracket: the end of line or text, or of the text that quotes the whole error.
_OVER = rf"(?=\s*(?:\Z|{_LINE_ENDS}|{_Q}\s*(?:\Z|{_LINE_ENDS}|[)\]}},])))"


@dataclass(frozen=True)
class _Quoted:
    """A value that stands between `head` and `end`; where no end is near, it goes on to the end of its line.

    `mark` is a literal of every head, so that most texts are not searched at all.
    """

    mark: str
    head: re.Pattern[str]
    end: re.Pattern[str]
    sql: bool = False

    @property
    def chars_max(self) -> int:
        return _SQL_CHARS_MAX if self.sql else _VALUE_CHARS_MAX


def _quoted(mark: str, head: str, end: str, *, sql: bool = False) -> _Quoted:
    return _Quoted(mark, re.compile(head), re.compile(end), sql)


_QUOTED = (
    # PostgreSQL, and what is made of it
    _quoted(
        "ey (",
        r"[Kk]ey \([^\n]{1,200}?\)=\(",
        rf"\)(?= (?:already exists|is not present|is still referenced|conflicts with|is duplicated)|\.?{_OVER})",
    ),
    _quoted("ailing row contains (", r"[Ff]ailing row contains \((?:[^\n()]{1,200}\) = \()?", r"\)\.?" + _OVER),
    _quoted("invalid input ", rf"invalid input (?:syntax|value) for [^\n:]{{1,100}}: {_Q}", _Q + _OVER),
    _quoted("out of range", rf"(?:field value out of range|is out of range): {_Q}", rf"{_Q}(?:(?=, expected)|{_OVER})"),
    _quoted("value ", rf"\bvalue {_Q}(?=[^\n]{{1,400}}? is out of range for )", rf"{_Q}(?= is out of range for )"),
    _quoted("invalid value ", rf"\binvalid value {_Q}(?=[^\n]{{1,400}}?{_Q} for )", rf"{_Q}(?= for )"),
    _quoted("malformed ", rf"\bmalformed (?:array|record|range) literal: {_Q}", _Q + _OVER),
    _quoted("COPY ", rf"COPY [^\n,]{{1,140}}, line \d+(?:, column [^\n:]{{1,80}})?: {_Q}", _Q + _OVER),
    _quoted("JSON data, line", r"JSON data, line \d+: ", _LINE_ENDS),
    _quoted("oken ", rf"[Tt]oken {_Q}(?=[^\n]{{1,400}}? is invalid)", rf"{_Q}(?= is invalid)"),
    _quoted("but found ", rf"\bbut found {_Q}", _Q + _OVER),
    _quoted("parameter $", rf"\bparameter \$\d+ = {_Q}", rf"{_Q}(?:(?=, \$)|{_OVER})"),
    # SQLAlchemy
    _quoted("[parameters: ", r"\[parameters: ", r"\](?=\s*(?:\Z|[\r\n]|\\{1,7}[nr]|\(Background|[\"']))"),
    _quoted("[SQL: ", r"\[SQL: ", r"\](?=\s*(?:\Z|[\r\n]|\\{1,7}[nr]|\(Background|\[|[\"']))", sql=True),
    _quoted("LINE ", r"LINE \d+: ", _LINE_ENDS, sql=True),
    _quoted("STATEMENT: ", r"STATEMENT:\s{1,4}", _LINE_ENDS, sql=True),
    # MySQL
    _quoted("Duplicate entry ", rf"Duplicate entry {_Q}", rf"{_Q}(?= for key)"),
    _quoted("ncorrect ", rf"[Ii]ncorrect [\w ]{{1,30}} value: {_Q}", rf"{_Q}(?:(?= for (?:column|function))|{_OVER})"),
    # SQL Server
    _quoted("duplicate key value is (", r"duplicate key value is \(", r"\)\.?" + _OVER),
    _quoted("onversion failed when converting", rf"onverting the \w{{1,30}} value {_Q}", rf"{_Q}(?= to data type)"),
    _quoted("Truncated value: ", rf"Truncated value: {_Q}", _Q + _OVER),
    # Oracle
    _quoted("row with column values (", r"row with column values \(", r"\)(?= already exists)"),
    # Snowflake and BigQuery
    _quoted(
        "is not recognized",
        rf"(?:value|Date|Timestamp|Time) {_Q}(?=[^\n]{{0,400}}?is not rec)",
        rf"{_Q}(?= is not rec)",
    ),
    _quoted("is too long and would", rf"String {_Q}(?=[^\n]{{0,400}}?is too long and)", rf"{_Q}(?= is too long)"),
    _quoted("ailed to cast ", rf"ailed to cast \w{{1,20}} value (?:{_Q})?", rf"(?:{_Q})?(?= to )"),
    _quoted("ould not parse ", rf"[Cc]ould not parse {_Q}", rf"{_Q}(?= as )"),
    _quoted("Bad ", r"Bad (?:int64|double|bool|numeric|float64|date|timestamp) value: ", rf";|{_LINE_ENDS}"),
    _quoted("ould not cast literal ", rf"ould not cast literal {_Q}", rf"{_Q}(?= to type)"),
    # DuckDB
    _quoted(
        "ould not convert ",
        rf"ould not convert (?:string )?(?:to float: )?{_Q}",
        rf"{_Q}(?:(?= to )|(?= with type )|{_OVER})",
    ),
    _quoted(" key ", rf"(?:Duplicate|because) key {_Q}", rf"{_Q}(?= (?:violates|does not exist|is still))"),
    _quoted("invalid ", rf"invalid (?:date|timestamp|time) field format: {_Q}", rf"{_Q}(?:(?=, expected)|{_OVER})"),
    _quoted(" with value ", rf"\bType \w{{1,20}} with value {_Q}", rf"{_Q}(?= can't be cast)"),
    # Python, pandas, pyarrow and pydantic, on the way into a database
    _quoted("invalid literal for ", rf"invalid literal for int\(\) with base \d+: b?{_Q}", _Q + _OVER),
    _quoted("nable to parse string ", rf"nable to parse string {_Q}", rf"{_Q}(?= at position)"),
    _quoted("input_value=", r"\binput_value=", r", input_type="),
)
_MASKED = re.compile(rf"(?:{_Q})?\[redacted:[a-z_]{{1,40}}\](?:{_Q})?")

_VALUE_LISTS = re.compile(
    rf"(?:partial_unexpected_(?:list|counts|index_list)|unexpected_(?:list|index_list|rows|values)|observed_value)"
    rf"(?:{_Q})?\s{{0,4}}[:=]\s{{0,4}}(?=[\[{{])"
)
_BRACKET = re.compile(r"\\{0,7}[\"']|[\[\]{}]")
_LITERAL = re.compile(r"'(?:[^']|'')*+'?|(?<![\w$:%.\]])-?\d+(?:\.\d+)?(?![\w.])")


def mask_database_values(text: str) -> str:
    """Return `text` with the values that a database's error quotes replaced by `[redacted:value]`.

    Names of tables, columns, constraints and types stay, and so does whatever tells one error from another. Linear in
    the length of the text; masking again changes nothing.
    """
    for each in _QUOTED:
        if each.mark in text:
            text = _spliced(text, _extents(text, each), sql=each.sql)
    if "unexpected_" in text or "observed_value" in text:
        text = _spliced(text, _lists(text), sql=False)
    return text


def _spliced(text: str, extents: Iterator[tuple[int, int]], *, sql: bool) -> str:
    pieces, done = list[str](), 0
    for start, stop in extents:
        if start < done or start == stop:
            continue
        pieces += (text[done:start], _masked_sql(text[start:stop]) if sql else _masked(text[start:stop]))
        done = stop
    return "".join((*pieces, text[done:])) if pieces else text


def _extents(text: str, each: _Quoted) -> Iterator[tuple[int, int]]:
    stop = 0
    for head in each.head.finditer(text):
        if head.end() < stop:
            continue
        stop = _end_of_value(text, head, each)
        yield head.end(), stop


def _end_of_value(text: str, head: re.Match[str], each: _Quoted) -> int:
    """Return where a value ends: at the quote that it began with, where something is known to follow it."""
    start = head.end()
    opening = _OPENING.search(head.group())
    for end in each.end.finditer(text, start, start + each.chars_max):
        closing = _CLOSING.match(end.group())
        if opening is None or closing is None or closing.group() == opening.group():
            return end.start()
    rim = _LINE_END if opening is not None and opening.group() == '"' else _TEXT_END
    last = rim.search(text, start)
    return len(text) if last is None else last.start()


def _masked(value: str) -> str:
    return value if _MASKED.fullmatch(value) else MASK


def _masked_sql(statement: str) -> str:
    return _LITERAL.sub(_masked_literal, statement)


def _masked_literal(found: re.Match[str]) -> str:
    value = found.group()
    if not value.startswith("'"):
        return MASK
    return value if value[1:-1].startswith("[redacted:") else f"'{MASK}'"


def _lists(text: str) -> Iterator[tuple[int, int]]:
    stop = 0
    for head in _VALUE_LISTS.finditer(text):
        if head.end() < stop:
            continue
        stop = _end_of_list(text, head.end())
        yield head.end(), stop


def _end_of_list(text: str, start: int) -> int:
    """Return where the brackets that open at `start` are closed; brackets within quotes do not count."""
    depth, quote = 0, ""
    for found in _BRACKET.finditer(text, start, start + _SQL_CHARS_MAX):
        token = found.group()
        if quote:
            quote = "" if token == quote else quote
        elif token[-1] in "\"'":
            quote = token
        else:
            depth += 1 if token in "[{" else -1  # noqa: S105 - a bracket
            if depth == 0:
                return found.end()
    return min(len(text), start + _SQL_CHARS_MAX)
