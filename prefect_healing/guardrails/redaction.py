"""What must not be stored, shown or sent: keys, tokens, passwords, known secret values, values a database quotes."""

import base64
import binascii
import json
import re
from collections.abc import Callable, Collection, Iterator
from functools import lru_cache
from urllib.parse import quote, quote_plus

from pydantic import JsonValue

from prefect_healing.guardrails.assignments import PLACEHOLDER, is_placeholder, redact_assignments, secret_kind
from prefect_healing.guardrails.database_texts import mask_database_values
from prefect_healing.guardrails.token_formats import TOKEN_FORMATS

SECRET_CHARS_MIN = 6
_PASSES_MAX = 6
_NESTING_MAX = 100
_RANDOM_CHARS_MIN = 24  # No word of prose is as long.
_ENCODED_CHARS_MAX = 65_536
_AUTHORITY_CHARS_MAX = 512
_QUOTE = r"(?:\\{0,7}[\"'])"

Step = Callable[[str], str]


def redact(text: str, secrets: Collection[str] = ()) -> str:
    """Return `text` with every secret replaced by `[redacted:kind]`; what is redacted already stays as it is.

    Values of the data that a database's error quotes become `[redacted:value]`: what failed is told, of whom is not.
    `secrets` are values known to be secret, found also where they are escaped, quoted for URLs or in base64; ones
    under six characters, and common words, are not looked for. Linear in the length of the text. Redact first and
    cut afterwards: of a secret that was cut in half, the half is not recognized.
    """
    for _ in range(_PASSES_MAX):
        redacted = _redact_once(text, secrets)
        if redacted == text:
            break
        text = redacted
    return text


def redact_json(value: JsonValue, secrets: Collection[str] = ()) -> JsonValue:
    """Return `value` with all its texts redacted, and whatever stands under a name such as `password`."""
    return _redact_json(value, tuple(secrets), 0)


def _redact_json(value: JsonValue, secrets: Collection[str], depth: int) -> JsonValue:
    if depth > _NESTING_MAX:
        return "[redacted:nesting]"
    if isinstance(value, str):
        return redact(value, secrets)
    if isinstance(value, list):
        return [_redact_json(each, secrets, depth + 1) for each in value]
    if isinstance(value, dict):
        return {redact(name, secrets): _redact_field(name, each, secrets, depth) for name, each in value.items()}
    return value


def _redact_field(name: str, value: JsonValue, secrets: Collection[str], depth: int) -> JsonValue:
    kind = secret_kind(name)
    number = isinstance(value, int | float) and not isinstance(value, bool) and kind == "password"
    if kind is not None and (number or (isinstance(value, str) and value and not is_placeholder(value))):
        return f"[redacted:{kind}]"
    return _redact_json(value, secrets, depth + 1)


def _redact_once(text: str, secrets: Collection[str]) -> str:
    text = _redact_known(text, secrets)
    for step in _STEPS:
        text = step(text)
    return text


def _redact_known(text: str, secrets: Collection[str]) -> str:
    for form in _forms(frozenset(secrets)):
        if form in text:
            text = text.replace(form, "[redacted:secret]")
    return text


@lru_cache(maxsize=8)
def _forms(secrets: frozenset[str]) -> tuple[str, ...]:
    """Return how `secrets` may be written, the longest first, so that none is cut by a shorter one."""
    forms = {form for secret in secrets if _worth_looking_for(secret) for form in _written(secret)}
    return tuple(sorted(forms, key=lambda form: (-len(form), form)))


def _worth_looking_for(secret: str) -> bool:
    if len(secret.strip()) < SECRET_CHARS_MIN or secret.casefold() in _COMMON_WORDS:
        return False
    return not any(secret in placeholder for placeholder in _PLACEHOLDERS)


def _written(secret: str) -> Iterator[str]:
    escaped = json.dumps(secret)[1:-1]
    plain = (secret, secret.strip(), escaped, escaped.replace("\\", "\\\\"), repr(secret)[1:-1], quote(secret, safe=""))
    yield from (*plain, quote_plus(secret))
    content = secret.encode("utf-8", "surrogatepass")
    if len(content) >= 2 * SECRET_CHARS_MIN:
        yield from _within_base64(content)


def _within_base64(content: bytes) -> Iterator[str]:
    # Wherever the value begins in a longer one, three letters in four are the same; the rims depend on neighbours.
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + content).decode()
        rim = 4 if (offset + len(content)) % 3 else 0
        core = encoded[4 if offset else 0 : len(encoded) - rim]
        yield from (core, core.replace("+", "-").replace("/", "_"))


def _redact_tokens(text: str) -> str:
    for each in TOKEN_FORMATS:
        if each.prefix in text:
            text = each.pattern.sub(f"[redacted:{each.kind}]", text)
    return text


_PEM_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_PEM_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
# Cut off before its end: lines that are base64 as a whole, and the headers of an encrypted key.
_PEM_BODY = re.compile(
    r"(?:(?:\\{1,7}[nr]|\s){0,8}(?:[A-Za-z0-9+/=]{12,}+(?![^\s\\\"',])|(?:Proc-Type|DEK-Info):[^\n\\]{0,100}))*"
)
_PEM_CHARS_MAX = 20_000
_PEM_CHARS_MIN = 16


def _redact_private_keys(text: str) -> str:
    pieces, done = list[str](), 0
    begin = _PEM_BEGIN.search(text)
    while begin is not None:
        stop = _end_of_private_key(text, begin.end())
        if stop - begin.end() >= _PEM_CHARS_MIN:
            pieces += (text[done : begin.start()], "[redacted:private_key]")
            done = stop
        begin = _PEM_BEGIN.search(text, max(stop, begin.end()))
    return "".join((*pieces, text[done:])) if pieces else text


def _end_of_private_key(text: str, inside: int) -> int:
    # With line prefixes of a log between, all up to the end belongs to the key; cut off, whatever looks like one.
    end = _PEM_END.search(text, inside, inside + _PEM_CHARS_MAX)
    other = _PEM_BEGIN.search(text, inside, end.start()) if end is not None else None
    if end is not None and other is None:
        return end.end() if end.start() - inside >= _PEM_CHARS_MIN else inside
    body = _PEM_BODY.match(text, inside)
    return inside if body is None else body.end()


_SCHEME = (
    r"(?:Bearer|Basic|Token|ApiKey|Api-Key|Bot|Negotiate|NTLM|GoogleLogin auth=|Snowflake Token=|OAuth|PVEAPIToken=)"
)
_HEADER_MARK = rf"{_QUOTE}?[ \t]{{0,4}}[:=,][ \t]{{0,4}}(?:b?{_QUOTE})?"
_AUTHORIZATION = re.compile(
    rf"(?P<head>authorization{_HEADER_MARK})(?:(?P<long>(?:Digest|AWS4-HMAC-SHA256|Hawk|OAuth)\s+)(?P<all>[^\r\n]*+)"
    rf"|(?P<scheme>{_SCHEME}\s*{_QUOTE}?)?(?P<value>[^\s\"'\\,;]++))",
    re.IGNORECASE,
)
_BEARER = re.compile(r"(?P<head>\bbearer[ =:]{1,4})(?P<value>[A-Za-z0-9._~+/=-]{8,}+)", re.IGNORECASE)
_BASIC = re.compile(r"(?P<head>\bbasic )(?P<value>[A-Za-z0-9+/]{8,}+={0,2})", re.IGNORECASE)
_COOKIE = re.compile(
    rf"(?P<head>\bcookie2?{_HEADER_MARK})(?!\[redacted:)(?P<value>[\w.$-]{{1,100}}=[^\r\n\"']*+)", re.IGNORECASE
)
_HARMLESS_CREDENTIALS = re.compile(
    r"[A-Z]?[a-z]*[.:!?]?|realm=.*|\*+|<.*|\$.*|\{.*|\[redacted:[a-z_]*\].?|None|null", re.DOTALL
)


def _redact_headers(text: str) -> str:
    lowered = text.lower()
    if "authorization" in lowered:
        text = _AUTHORIZATION.sub(_authorization, text)
    if "bearer" in lowered:
        text = _BEARER.sub(_bearer, text)
    if "basic " in lowered:
        text = _BASIC.sub(_basic, text)
    return _COOKIE.sub(r"\g<head>[redacted:cookie]", text) if "cookie" in lowered else text


def _authorization(found: re.Match[str]) -> str:
    if found["long"]:
        return (
            found.group() if is_placeholder(found["all"]) else f"{found['head']}{found['long']}[redacted:authorization]"
        )
    if _HARMLESS_CREDENTIALS.fullmatch(found["value"][:_AUTHORITY_CHARS_MAX]):
        return found.group()
    return f"{found['head']}{found['scheme'] or ''}[redacted:authorization]"


def _bearer(found: re.Match[str]) -> str:
    value = found["value"]
    random = any(letter.isdigit() for letter in value[:100]) or len(value) >= _RANDOM_CHARS_MIN
    return f"{found['head']}[redacted:bearer]" if random else found.group()


def _basic(found: re.Match[str]) -> str:
    return f"{found['head']}[redacted:basic]" if ":" in (_decoded(found["value"]) or "") else found.group()


_URL = re.compile(r"://(?P<authority>[^\s/?#\"'<>`\\]*+)")
_URL_STOP = re.compile(r"[\s\"'<>`\\]")
_LOOKS_RANDOM = re.compile(r"(?=.*\d)(?=.*[A-Za-z])[\w.~%+-]{16,}")


def _redact_urls(text: str) -> str:
    if "://" not in text or "@" not in text:
        return text
    pieces, done = list[str](), 0
    for found in _URL.finditer(text):
        at = _end_of_userinfo(text, found)
        if at < 0 or found.start("authority") < done:
            continue
        redacted = _redacted_userinfo(text[found.start("authority") : at])
        pieces += (text[done : found.start("authority")], redacted)
        done = at
    return "".join((*pieces, text[done:])) if pieces else text


def _end_of_userinfo(text: str, found: re.Match[str]) -> int:
    authority, start = found["authority"], found.start("authority")
    if "@" in authority:
        return start + authority.rfind("@")
    port = authority.rpartition(":")[2]
    if ":" not in authority or authority.startswith("[") or port.isdigit() or not port:
        return -1
    # A password with an unescaped slash in it ends the authority too early.
    stop = _URL_STOP.search(text, found.end(), found.end() + _AUTHORITY_CHARS_MAX)
    return text.rfind("@", found.end(), found.end() + _AUTHORITY_CHARS_MAX if stop is None else stop.start())


def _redacted_userinfo(userinfo: str) -> str:
    if is_placeholder(userinfo):
        return userinfo
    user, colon, password = userinfo.partition(":")
    if userinfo.startswith("[redacted:"):
        prefix = PLACEHOLDER.match(userinfo)
        user, colon, password = (
            ("", "", "") if prefix is None else (prefix[0], *userinfo[prefix.end() :].partition(":")[1:])
        )
    user = "[redacted:user]" if _LOOKS_RANDOM.fullmatch(user[:_AUTHORITY_CHARS_MAX]) else user
    if not password or is_placeholder(password) or re.fullmatch(r"\*+|\$\{.*|\{\w*\}|<\w+>", password):
        return f"{user}{colon}{password}"
    return f"{user}{colon}[redacted:password]"


# Shapes with a literal that must be there, so that most texts are not searched at all.
_SHAPES: tuple[tuple[str, str, re.Pattern[str]], ...] = (
    (
        "hooks.slack.com/",
        r"\g<1>[redacted:slack_webhook]",
        re.compile(r"(hooks\.slack\.com/(?:services|workflows|triggers)/)[\w/+=-]{8,}"),
    ),
    (
        "/api/webhooks/",
        r"\g<1>[redacted:discord_webhook]",
        re.compile(r"(discord(?:app)?\.com/api/webhooks/)\d{5,}/[\w-]{8,}"),
    ),
    (
        "webhook.office.com/",
        r"\g<1>[redacted:teams_webhook]",
        re.compile(r"(webhook\.office\.com/webhookb2/)[\w@/-]{16,}"),
    ),
    (":AA", r"[redacted:telegram_token]", re.compile(r"(?<!\d)\d{8,10}:AA[\w-]{30,}")),
    ("Q~", r"[redacted:azure_secret]", re.compile(r"(?<![\w~.-])[\w~.-]{3}\dQ~[\w~.-]{31,34}(?![\w~-])")),
    ("==", r"[redacted:storage_key]", re.compile(r"(?<![A-Za-z0-9+/=])[A-Za-z0-9+/]{86}==")),
    (".atlasv1.", r"[redacted:terraform_token]", re.compile(r"(?<!\w)\w{14}\.atlasv1\.[\w-]{20,}")),
    ("-us", r"[redacted:mailchimp_key]", re.compile(r"(?<!\w)[0-9a-f]{32}-us\d{1,2}(?!\w)")),
    (
        "jdbc:oracle",
        r"\g<1>[redacted:password]",
        re.compile(r"(jdbc:oracle:\w+:[^/\s@]{1,100}/)(?!\[redacted:)[^\s@]{1,200}(?=@)"),
    ),
    (
        ":5432:",
        r"\g<1>[redacted:password]",
        re.compile(r"((?<![^\s\"'])[^\s:\"']{1,200}:5432:[^\s:]{1,100}:[^\s:]{1,100}:)(?!\[redacted:)[^\s\"'\\]+"),
    ),
    ("login", r"\g<1>[redacted:password]", re.compile(r"(\blogin\s+\S{1,200}\s+password\s+)(?!\[redacted:)\S+")),
    (
        "-u",
        r"\g<1>[redacted:password]",
        re.compile(r"(\bcurl\s[^\r\n]{0,300}?(?:-u|--user)[ =]?['\"]?[^\s:'\"]{1,100}:)(?!\[redacted:)[^\s'\"]+"),
    ),
    (
        "%40",
        r"\g<1>[redacted:password]",
        re.compile(r"(%3[Aa]%2[Ff]%2[Ff][^\s%&]{0,100}%3[Aa])(?!\[redacted:)(?:(?!%40)[^\s&]){1,200}(?=%40)"),
    ),
    ("IDENTIFIED", r"\g<1>[redacted:password]", re.compile(r"(IDENTIFIED BY\s+[\"']?)(?!\[redacted:)[^\s\"';]+")),
    ("identified", r"\g<1>[redacted:password]", re.compile(r"(identified by\s+[\"']?)(?!\[redacted:)[^\s\"';]+")),
)


def _redact_shapes(text: str) -> str:
    for literal, replacement, pattern in _SHAPES:
        if literal in text:
            text = pattern.sub(replacement, text)
    return text


_ENCODED = re.compile(r"(?<![A-Za-z0-9+/_=-])[A-Za-z0-9+/_-]{24,}+={0,2}")


def _redact_encoded(text: str) -> str:
    return _ENCODED.sub(_encoded, text)


def _encoded(found: re.Match[str]) -> str:
    value = found.group()
    if _decoded(value[:8]) is None:
        return value
    inner = _decoded(value[:_ENCODED_CHARS_MAX])
    return value if inner is None or _redact_plain(inner) == inner else "[redacted:base64]"


def _decoded(encoded: str) -> str | None:
    """Return the printable text behind base64 of either alphabet, or None where there is none."""
    plain = encoded.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        text = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return text if all(letter.isprintable() or letter in "\t\r\n" for letter in text) else None


def _redact_plain(text: str) -> str:
    for step in _PLAIN_STEPS:
        text = step(text)
    return text


_PLAIN_STEPS: tuple[Step, ...] = (
    _redact_private_keys,
    _redact_tokens,
    _redact_headers,
    _redact_urls,
    _redact_shapes,
    redact_assignments,
    mask_database_values,
)
_STEPS: tuple[Step, ...] = (_redact_encoded, *_PLAIN_STEPS)

_COMMON = """password passwort secret default prefect postgres postgresql localhost admin username example changeme123
127.0.0.1 0.0.0.0 production staging development testing enabled disabled public private"""
_COMMON_WORDS = frozenset(_COMMON.split())
_KINDS = """password token secret key connection_string signature session authorization bearer basic cookie user
private_key base64 nesting slack_webhook discord_webhook teams_webhook telegram_token azure_secret storage_key
terraform_token mailchimp_key value"""
_PLACEHOLDERS = frozenset(f"[redacted:{kind}]" for kind in (*_KINDS.split(), *(each.kind for each in TOKEN_FORMATS)))
