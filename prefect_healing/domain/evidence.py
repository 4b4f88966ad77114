"""Facts with a source and a time."""

from pydantic import AwareDatetime

from prefect_healing.domain.record import Record


class Evidence(Record):
    """One fact: id (`E7`), where it is from, when it was read, and its text, already redacted.

    `spilled_chars` is the length of the whole text where only its head and tail are here; 0 where all of it is.
    """

    id: str
    source: str
    at: AwareDatetime
    text: str
    spilled_chars: int = 0
