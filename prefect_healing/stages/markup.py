"""Markdown made of text that nobody vouches for: it shows as it was written, and does nothing.

Prefect's two UIs read Markdown differently. Both obey backslash escapes; the first shows numeric character references
as they stand; the second makes links of bare addresses even where they are escaped, except in code.
"""

import html
import re
import unicodedata
from collections.abc import Sequence
from urllib.parse import urlsplit

_TERMINAL_COLORS = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_SPECIAL = re.compile(r"([\\`*_\[\]<>|~&#])")
_SPECIAL_IN_LINKS = re.compile(r"[\\`*\[\]<>|~&!]")
_LIKE_AN_ADDRESS = re.compile(r"://|www\.|@|mailto:|xmpp:", re.IGNORECASE)
_LIKE_A_LIST = re.compile(r"^(\d{0,9})([-+=.)])")
_IN_LINKS = re.compile(r"[^\w\-.~:/?#@!$&'+,;=%]", re.ASCII)
_CODE_COLUMNS = 62  # What a code block shows of a line in the narrower UI at 1280 pixels; the rest would scroll.
_WRAPPED_CHARS_MAX = 3 * _CODE_COLUMNS
_URL_CHARS_MAX = 2_000
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})


def printable(text: str, chars_max: int) -> str:
    """Return `text` without control characters, at most about `chars_max` long; says how many were cut from its middle.

    Characters that would reorder, hide or break text stand as U+FFFD. Lines end with a newline.
    """
    if len(text) > chars_max:
        head, tail = chars_max * 2 // 3, chars_max - chars_max * 2 // 3
        text = f"{text[:head]} [... {len(text) - head - tail} cut ...] {text[-tail:]}"
    text = _TERMINAL_COLORS.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    return "".join(each if _shows(each) else "\ufffd" for each in text)


def prose(text: str, chars_max: int = 500) -> str:
    """Return `text` as words of one line. What looks like an address is shown as code, so that it is no link."""
    words = printable(text, chars_max).split()
    line = " ".join(code(each) if _LIKE_AN_ADDRESS.search(each) else _SPECIAL.sub(r"\\\1", each) for each in words)
    return _LIKE_A_LIST.sub(r"\1\\\2", line)


def code(text: str, chars_max: int = 300) -> str:
    """Return `text` as code within a line. A pipe is shown broken: in a table a whole one would end the cell."""
    return _span(" ".join(printable(text, chars_max).split()).replace("|", "\N{BROKEN BAR}"))


def verbatim(text: str, chars_max: int = 2_000) -> str:
    """Return `text` as it is, in a paragraph of its own: a code block, or code that wraps where it is too wide.

    What would fill the screen with its wrapped lines stays in a block, which scrolls sideways.
    """
    shown = printable(text, chars_max).strip("\n")
    if "\n" not in shown and _CODE_COLUMNS < len(shown) <= _WRAPPED_CHARS_MAX:
        return _span(shown)
    fence = "`" * max(3, 1 + _longest_run(shown))
    return f"{fence}text\n{shown}\n{fence}"


def link(text: str, url: str | None) -> str:
    """Return a link, or the text alone where `url` is no address of the web.

    The first UI shows escapes in the text of a link as they stand, so marks are replaced there.
    """
    if url is None or not is_web_address(url):
        return prose(text, 200) or "(no name)"
    shown = _SPECIAL_IN_LINKS.sub("\ufffd", " ".join(printable(text, 200).split()))
    return f"[{shown or '(no name)'}]({_IN_LINKS.sub(_percent, url)})"


def is_web_address(url: str) -> bool:
    """Say whether `url` is an http or https address without surprises: no spaces, no credentials, not too long."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    plain = len(url) <= _URL_CHARS_MAX and not any(each.isspace() or not each.isprintable() for each in url)
    return plain and parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of cells that are Markdown already. Returns nothing where there are no rows."""
    if not rows:
        return ""
    lines = (header, ("---",) * len(header), *rows)
    return "\n".join("| " + " | ".join(cell or " " for cell in line) + " |" for line in lines)


def details(summary: str, text: str, chars_max: int) -> str:
    """Return a part that opens on a click. One line of HTML: a blank line in it would end it in the first UI."""
    head = html.escape(" ".join(printable(summary, 300).split()))
    body = html.escape(printable(text, chars_max)).replace("\n", "&#10;")
    return f"<details><summary>{head}</summary><pre>{body}</pre></details>"


def _shows(letter: str) -> bool:
    return letter in "\n\t" or unicodedata.category(letter) not in _INVISIBLE


def _span(shown: str) -> str:
    if not shown.strip():
        return ""
    ticks = "`" * (1 + _longest_run(shown))
    pad = " " if len(ticks) > 1 or shown[0] == " " == shown[-1] else ""
    return f"{ticks}{pad}{shown}{pad}{ticks}"


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall(r"`+", text)), default=0)


def _percent(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found.group().encode("utf-8", "replace"))
