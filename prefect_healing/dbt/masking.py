"""What dbt writes of a node, without what it may quote of the data.

dbt hands on what the database says, which quotes values, and a macro can write values of the data into SQL. A word
that none of the project's authors wrote, and that is no name of a table or column, is taken for such a value.
"""

import re
from collections.abc import Collection

from prefect_healing.guardrails.database_texts import MASK
from prefect_healing.guardrails.redaction import redact

_WORD = re.compile(r"\w+")
_CONTENTS = re.compile(r"(?P<head>(?:=\s?|contains\s)\().*\)", re.DOTALL)
_COUNTED = re.compile(r"Got \d+ results?, configured to (?:fail|warn) if [!<>=]+ \d+")
_SHORTENED = re.compile(r"n't\b")  # No apostrophe of dbt or a database may be taken for a quote.
_NUMBER = re.compile(r"(?<![\w:/])-?\d[\d.]{2,}")
_COMPILED_AT = re.compile(r"^\s*compiled code at .*$\n?", re.MULTILINE)


def masked_sql(sql: str, words: Collection[str]) -> str:
    """Return compiled SQL in which every word that nobody wrote is replaced by `[redacted:value]`."""
    lowered = _Folded(words)
    return redact(_WORD.sub(lambda found: found[0] if found[0] in lowered else MASK, sql))


def masked_message(message: str, words: Collection[str]) -> str:
    """Return a message in which quoted text, rows and numbers that nobody wrote are replaced by `[redacted:value]`."""
    if _COUNTED.fullmatch(message.strip()):
        return message.strip()
    folded = _Folded(words)
    text = _SHORTENED.sub(" not", _COMPILED_AT.sub("", message))
    text = _CONTENTS.sub(rf"\g<head>{MASK})", text)
    for quote in "\"'`":
        text = _mask_quoted(text, quote, folded)
    return redact(_NUMBER.sub(lambda found: found[0] if found[0] in folded else MASK, text)).strip()


class _Folded:
    """Words, whatever their case; short numbers are among them."""

    def __init__(self, words: Collection[str]) -> None:
        self._words = frozenset(word.casefold() for word in words)

    def __contains__(self, word: str) -> bool:
        return word.casefold() in self._words or (word.isdecimal() and len(word) <= 2)  # noqa: PLR2004


def _mask_quoted(text: str, quote: str, words: _Folded) -> str:
    """Mask from the first quotation that is unknown to the last quote: a value may hold quotes itself."""
    start = text.find(quote)
    while start >= 0:
        end = text.find(quote, start + 1)
        if end < 0 or not all(word in words for word in _WORD.findall(text[start:end])):
            last = text.rfind(quote)
            after = text[last + 1 :] if last > start else ""
            return f"{text[:start]}{quote}{MASK}{quote}{after}"
        start = text.find(quote, end + 1)
    return text
