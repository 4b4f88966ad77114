"""The frame of a traceback at which the flow's own code failed."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from prefect_healing.errors import ToolFailed

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient

_FRAME = re.compile(r'File "([^"\n]{1,1000})", line (\d{1,7})')
_LOGS_MAX = 20
_TEXT_CHARS_MAX = 200_000


@dataclass(frozen=True)
class Frame:
    """A place in the code, the path relative to the code root."""

    path: str
    line: int


async def failing_frame(client: "PrefectClient", flow_run_id: UUID, root: Path) -> Frame:
    """Return the innermost frame in `root` of the last traceback that the run logged.

    Raises ToolFailed where the log shows none.
    """
    from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId, LogFilterLevel
    from prefect.client.schemas.sorting import LogSort

    logs = await client.read_logs(
        LogFilter(flow_run_id=LogFilterFlowRunId(any_=[flow_run_id]), level=LogFilterLevel(ge_=40)),
        limit=_LOGS_MAX,
        offset=0,
        sort=LogSort.TIMESTAMP_DESC,
    )
    for log in logs:
        if (frame := last_frame_in(log.message[-_TEXT_CHARS_MAX:], root)) is not None:
            return frame
    raise ToolFailed("The run's log shows no traceback through the code root; name a path, or go by the logs.")


def last_frame_in(text: str, root: Path) -> Frame | None:
    """Return the last frame of a traceback that lies in `root`."""
    for path, line in reversed(_FRAME.findall(text)):
        if (inside := _below(path, root)) is not None:
            return Frame(inside, int(line))
    return None


def _below(path: str, root: Path) -> str | None:
    """Return a frame's path relative to `root`; one of another machine is found by its longest matching end."""
    parts = Path(path).parts
    if "site-packages" in parts or path.startswith("<"):
        return None
    if (known := Path(path)).is_absolute() and known.is_file():
        return str(known.relative_to(root)) if known.is_relative_to(root) else None
    ends = (Path(*parts[start:]) for start in range(1 if known.is_absolute() else 0, len(parts)))
    return next((str(end) for end in ends if (root / end).is_file()), None)
