"""Secrets that are known by the name before them: `password=...`, `"api_key": "..."`, `--token ...`."""

import re
from collections.abc import Callable
from dataclasses import dataclass

_Extent = Callable[[str, re.Match[str], "_Name"], tuple[int, int]]

PLACEHOLDER = re.compile(r"\[redacted:[a-z_]{1,40}\]")

# Each name begins with a literal, so that searching is for that; what may stand before it is seen afterwards.
_NAMES: tuple[tuple[str, str, str], ...] = (
    ("password", "pass", r"(?:w(?:or)?d|phrase|wort|(?<![a-z]pass))"),
    ("password", "pwd", ""),
    ("token", "token", ""),
    ("token", "pat", r"(?<![a-z]pat)"),
    ("secret", "secret", ""),
    ("secret", "credential", "s?"),
    ("key", "key", ""),
    ("connection_string", "conn", r"(?:ection)?[_-]?str(?:ing)?"),
    ("signature", "sig", r"(?<![a-z]sig)(?:nature)?"),
    ("session", "sess", r"(?:ion)?[_-]?id"),
    ("session", "_auth", r"(?<![a-z]_auth)"),
)
_SECRET_KEY = re.compile(
    r"(?:api|access|secret|private|account|shared|auth|signing|encryption|master|service|app|application|fernet"
    r"|subscription|session|license|integration|routing|storage)[ _-]?$"
)
_SUFFIX = r"(?:[_-]?(?:value|plain|text|base64|b64|encoded|old|new|current|prod|dev|stag(?:e|ing)|test|\d{1,3}))?"
_QUOTE = r"\\{0,7}[\"'`]"
# What stands between name and value. The longer ones are containers' `name: X / value: y`, XML's `<x value="y">`,
# pydantic's `X\n  ... [..., input_value='y'`, and headers as Python prints tuples of them.
_SPACE = r"(?:\s|\\{1,7}[nrt])"
_SEPARATOR = (
    rf"(?:(?P<close>{_QUOTE}\]?|\])?(?:[ \t]{{0,8}}(?:=>|:=|=(?!=)|:(?!:|//))[ \t]{{0,8}}"
    rf"|{_SPACE}{{0,40}}+,?{_SPACE}{{0,40}}+(?:{_QUOTE})?value(?:{_QUOTE})?\s{{0,4}}[=:]\s{{0,4}}"
    rf"|(?<=[\"'])[ \t]{{0,8}},[ \t]{{0,8}}"
    rf"|[ \t]{{0,4}}(?:\r?\n|\\{{1,7}}n)[^\n]{{0,300}}?input_value="
    rf"|[ \t]{{1,4}}(?=')"
    rf"|(?:%22)?(?:%3d|%3a)(?:%20)?(?:%22)?"
    rf"|(?P<tag>>)))"
)
_OPTION_SEPARATOR = r"(?:[ \t]{1,8}|=)"


@dataclass(frozen=True)
class _Name:
    kind: str
    root: str
    assignment: re.Pattern[str]
    option: re.Pattern[str]
    alone: re.Pattern[str]


_LOOKED_FOR = tuple(
    _Name(
        kind,
        root,
        re.compile(f"{root}{rest}{_SUFFIX}{_SEPARATOR}"),
        re.compile(f"{root}{rest}{_SUFFIX}{_OPTION_SEPARATOR}"),
        re.compile(f"{root}{rest}{_SUFFIX}$"),
    )
    for kind, root, rest in _NAMES
)
_OPTION_BEGINNING = re.compile(r"(?:^|[^\w-])--[a-z0-9-]{0,40}$")

_OPENING = re.compile(rf"[bruf]{{0,2}}(?P<quote>{_QUOTE})", re.IGNORECASE)
_BRACED = re.compile(r"\{[^{}\n]{1,200}\}(?=[;\s]|$)")
_BARE = re.compile(r"(?:\[redacted:[a-z_]{1,40}\]|[^\s&;'\"`<>,)}\]\\]|[,)}\]](?![\s,)}\]\"';]|$)|\\(?![nrt\"']))+")

_PROSE = """none null nil true false undefined default unset empty missing required optional invalid incorrect
wrong expired revoked denied not is was has must should cannot could string str bytes int integer
number text varchar boolean bool object any secretstr field type bearer basic the a an and or of for
in to from with no yes on off authentication unknown unauthorized forbidden rejected accepted valid
changed found value your eof token password secret key redacted hidden masked omitted filtered
sensitive read write admin error failed"""
_HARMLESS_WORDS = frozenset(_PROSE.split())
_TEMPLATE = re.compile(
    r"\$\{.*|\$\(.*|\$[A-Z_]+|\{\{.*|\{[\w.:!\[\]'\"]*\}|%\(\w+\)s|%s|<[\w .-]+>|[*•x.…-]+|\?+|!vault.*|@\w+@"
)
_REFERENCE = re.compile(
    r"(?:self|cls|settings|config|cfg|conf|os|env|environ|args|options|ctx|context|secrets?|st|var|data|params|kwargs"
    r"|request|response|process|vault)[.\[].*"
)
_CALL = re.compile(r"[A-Za-z_][\w.]*[(\[].*")
_JUDGED_CHARS = 256  # A value longer than this is judged by its beginning, so that judging costs nothing.
_LOOKS_RANDOM = re.compile(r"(?=.*\d)(?=.*[A-Za-z]).{8,}|\d{6,}|.*[a-z].*[A-Z].*[a-z].*|.{24,}", re.DOTALL)


def redact_assignments(text: str) -> str:
    """Return `text` with the values of secret-looking names replaced, in time that grows with its length only."""
    for name in _LOOKED_FOR:
        lowered = _lowered(text)
        if name.root not in lowered:
            continue
        if "--" in text:
            text = _replace_values(text, lowered, name, name.option, _option_value)
        text = _replace_values(text, _lowered(text), name, name.assignment, _assigned_value)
    return text


def secret_kind(name: str) -> str | None:
    """Return what kind of secret a field of this name holds, or None where the name says nothing of one."""
    lowered = _lowered(name[-200:])
    for each in _LOOKED_FOR:
        if (found := each.alone.search(lowered)) is not None and _is_secret_name(each, lowered, found.start()):
            return each.kind
    return None


def is_placeholder(value: str) -> bool:
    """Say whether `value` was redacted before."""
    return PLACEHOLDER.fullmatch(value) is not None


def _lowered(text: str) -> str:
    # Unlike str.lower, this keeps every letter at its place: the dotted capital I would become two.
    return text.encode("utf-8", "surrogatepass").lower().decode("utf-8", "surrogatepass")


def _is_secret_name(name: _Name, lowered: str, at: int) -> bool:
    return name.root != "key" or _SECRET_KEY.search(lowered[max(0, at - 16) : at]) is not None


def _replace_values(text: str, lowered: str, name: _Name, pattern: re.Pattern[str], extent: _Extent) -> str:
    pieces, done = list[str](), 0
    found = pattern.search(lowered)
    while found is not None:
        named = _is_secret_name(name, lowered, found.start())
        start, end = extent(text, found, name) if named else (found.end(), found.end())
        if start < end and not is_placeholder(text[start:end]):
            pieces += (text[done:start], f"[redacted:{name.kind}]")
            done = end
        found = pattern.search(lowered, max(end, found.end()))
    return "".join((*pieces, text[done:])) if pieces else text


def _option_value(text: str, found: re.Match[str], name: _Name) -> tuple[int, int]:
    del name
    if _OPTION_BEGINNING.search(text[max(0, found.start() - 43) : found.start()].lower()) is None:
        return found.end(), found.end()
    start, end, quoted = _extent(text, found.end())
    value = text[start:end]
    placeholder = not quoted and value.isupper() and value.isalpha()  # `--token TOKEN`, as help texts have it.
    harmless = value.startswith("-") or placeholder or _harmless(value, quoted=quoted)
    return (end, end) if harmless else (start, end)


def _assigned_value(text: str, found: re.Match[str], name: _Name) -> tuple[int, int]:
    if found["tag"]:
        return found.end(), _end_of_tagged(text, found)
    start, end, quoted = _extent(text, found.end())
    value = text[start:end]
    secret = not _harmless(value, quoted=quoted) and _believable(text, found, name.kind, value, quoted=quoted)
    return (start, end) if secret else (end, end)


def _end_of_tagged(text: str, found: re.Match[str]) -> int:
    end = text.find("</", found.end(), found.end() + 4096)
    opened = "<" in text[max(0, found.start() - 60) : found.start()]
    value = text[found.end() : max(end, found.end())]
    return end if opened and "<" not in value and not _harmless(value, quoted=True) else found.end()


def _extent(text: str, start: int) -> tuple[int, int, bool]:
    if (opening := _OPENING.match(text, start)) is not None:
        inside = opening.end()
        return inside, _closing(text, inside, opening["quote"]), True
    if (braced := _BRACED.match(text, start)) is not None:
        return start, braced.end(), False
    bare = _BARE.match(text, start)
    return start, start if bare is None else bare.end(), False


def _closing(text: str, inside: int, quote: str) -> int:
    at = text.find(quote, inside)
    # A plain quote may be escaped within the value; a quote that is escaped itself is not looked at so closely.
    while len(quote) == 1 and at > inside and text[at - 1] == "\\" and text[at - 2 : at] != "\\\\":
        at = text.find(quote, at + 1)
    at = len(text) if at < 0 else at
    line_end = text.find("\n", inside, at)
    return at if line_end < 0 else line_end


def _harmless(value: str, *, quoted: bool) -> bool:
    stripped = value[:_JUDGED_CHARS].strip()
    if not stripped or stripped.casefold().rstrip(".:,;!?") in _HARMLESS_WORDS or _TEMPLATE.fullmatch(stripped):
        return True
    return not quoted and bool(_CALL.fullmatch(stripped) or _REFERENCE.fullmatch(stripped))


def _believable(text: str, found: re.Match[str], kind: str, value: str, *, quoted: bool) -> bool:
    """Say whether this is a secret and not prose, code or a counter."""
    named = found.group()
    if kind == "password":
        return _believable_password(text, found, value, quoted=quoted)
    if len(value) < (20 if kind == "signature" else 6):
        return False
    if quoted or "=" in named or "value" in named[-12:]:
        return " " not in value
    end = found.end() + len(value)
    alone = _begins_line(text, found.start()) and _ENDS_LINE.match(text, end) is not None
    return alone or _LOOKS_RANDOM.match(value[:_JUDGED_CHARS]) is not None


def _believable_password(text: str, found: re.Match[str], value: str, *, quoted: bool) -> bool:
    named = found.group()
    if named.startswith("pwd") and value.startswith("/"):
        return False  # The shell's working directory.
    if not named.startswith(("passw", "passphrase", "pwd")):  # A count of tests that passed, a word of prose.
        return not value.isdigit() and (quoted or "=" in found.group())
    end = found.end() + len(value)
    prose = value.isalpha() and value.islower() and re.match(r"[.,]? +[a-z]", text[end : end + 4]) is not None
    return quoted or not prose or _begins_line(text, found.start())


def _begins_line(text: str, at: int) -> bool:
    before = _LINE_BREAK.split(text[max(0, at - 80) : at])[-1]
    return _NAME_BEGINNING.fullmatch(before) is not None


_LINE_BREAK = re.compile(r"[\r\n\"]|\\[nr]")
_ENDS_LINE = re.compile(r"[\r\n\"]|\\|$")
_NAME_BEGINNING = re.compile(r"[\s#'-]*[A-Za-z0-9_.-]{0,60}")
