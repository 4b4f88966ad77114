"""A weekly window of time."""

import re
from datetime import datetime
from zoneinfo import ZoneInfo

from pydantic import field_validator

from prefect_healing.domain.record import Record
from prefect_healing.errors import ConfigurationError

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MOMENT = re.compile(rf"(?P<day>{'|'.join(_DAYS)}) (?P<hour>[01][0-9]|2[0-3]):(?P<minute>[0-5][0-9])")
_MINUTES_OF_DAY = 24 * 60


class Freeze(Record):
    """A window that comes back every week, such as `Freeze("Fri 16:00", "Mon 08:00")`; start included, end not.

    Times are of `timezone`, an IANA name. A window whose end is its start is the whole week.
    """

    start: str
    end: str
    timezone: str = "UTC"

    def __init__(self, start: str, end: str, timezone: str = "UTC") -> None:
        """Take the window's two ends, such as `Fri 16:00`."""
        super().__init__(**{"start": start, "end": end, "timezone": timezone})  # noqa: PIE804  pyright sees the overriding signature only.

    @field_validator("start", "end")
    @classmethod
    def _is_moment(cls, moment: str) -> str:
        _minute_of_week(moment)
        return moment

    @field_validator("timezone")
    @classmethod
    def _is_zone(cls, timezone: str) -> str:
        try:
            ZoneInfo(timezone)
        except (OSError, ValueError, KeyError):
            raise ValueError(f"there is no time zone {timezone!r}; write an IANA name such as Europe/Berlin") from None
        return timezone

    def __str__(self) -> str:
        """Return the window in words."""
        return f"{self.start} to {self.end} {self.timezone}"

    def covers(self, now: datetime) -> bool:
        """Say whether `now`, which must know its time zone, lies in the window."""
        if now.tzinfo is None:
            raise ConfigurationError("The time given to a policy has no time zone; pass datetime.now(UTC).")
        local = now.astimezone(ZoneInfo(self.timezone))
        at = local.weekday() * _MINUTES_OF_DAY + local.hour * 60 + local.minute
        start, end = _minute_of_week(self.start), _minute_of_week(self.end)
        return start <= at < end if start < end else at >= start or at < end


def _minute_of_week(moment: str) -> int:
    if (found := _MOMENT.fullmatch(moment)) is None:
        raise ValueError(f"{moment!r} is no time of the week; write it like 'Fri 16:00'")
    return _DAYS.index(found["day"]) * _MINUTES_OF_DAY + int(found["hour"]) * 60 + int(found["minute"])
