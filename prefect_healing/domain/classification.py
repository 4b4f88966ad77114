"""What a failure text says of itself, before anybody looks further."""

from prefect_healing.domain.cause import Cause, Transience
from prefect_healing.domain.record import Record


class Classification(Record):
    """Cause, transience, confidence from 0 to 1, the decisive line verbatim, and whether an unchanged re-run helps.

    `rerun_helps` is None where the text does not tell. `signature` names the row of the table that matched.
    """

    cause: Cause
    transience: Transience
    confidence: float
    decisive_line: str | None
    rerun_helps: bool | None
    signature: str | None = None
