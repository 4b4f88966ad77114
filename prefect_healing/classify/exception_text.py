"""An exception as text, with its chain, bounded in size."""

import traceback

EXCEPTIONS_MAX = 12
FRAMES_MAX = 8
_MESSAGE_CHARS = 8_000
_CONNECTORS = {
    "cause": "\nThe above exception was the direct cause of the following exception:\n\n",
    "context": "\nDuring handling of the above exception, another exception occurred:\n\n",
}


def text_of_exception(exc: BaseException) -> str:
    """Return the traceback text of an exception and what caused it, oldest first, as Python prints it.

    At most 12 exceptions, 8 frames and 8,000 characters of message each. Source lines are read from the files that the
    frames name, where they are at hand.
    """
    links = _chain(exc)
    texts = [_one(links[-1][0])]
    for number in range(len(links) - 2, -1, -1):
        raised, link = links[number]
        texts += [_CONNECTORS[link or "context"], _one(raised)]
    return "".join(texts)


def _chain(exc: BaseException) -> list[tuple[BaseException, str | None]]:
    """Return the chain, newest first, each with how it hangs on the next; a chain may be circular."""
    chain: list[tuple[BaseException, str | None]] = []
    seen: set[int] = set()
    following: BaseException | None = exc
    while following is not None and id(following) not in seen and len(chain) < EXCEPTIONS_MAX:
        seen.add(id(following))
        current = following
        link, following = _inner(current)
        chain.append((current, link))
    return chain


def _inner(exc: BaseException) -> tuple[str | None, BaseException | None]:
    if exc.__cause__ is not None:
        return "cause", exc.__cause__
    if exc.__context__ is not None and not exc.__suppress_context__:
        return "context", exc.__context__
    return None, None


def _one(exc: BaseException) -> str:
    frames = "".join(traceback.format_tb(exc.__traceback__, limit=-FRAMES_MAX))
    header = "Traceback (most recent call last):\n" if frames else ""
    return f"{header}{frames}{_message(exc)}{_members(exc)}"


def _message(exc: BaseException) -> str:
    message = "".join(traceback.format_exception_only(type(exc), exc))
    if isinstance(exc, BaseExceptionGroup):
        message = message.split("\n", 1)[0] + "\n"
    return message if len(message) <= _MESSAGE_CHARS else f"{message[:_MESSAGE_CHARS]}\n"


def _members(exc: BaseException) -> str:
    """Return the messages of the first members of a group: the group itself never says what failed."""
    if not isinstance(exc, BaseExceptionGroup):
        return ""
    members: tuple[BaseException, ...] = exc.exceptions  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return "".join(f"\n{_message(member)}" for member in members[:EXCEPTIONS_MAX])
