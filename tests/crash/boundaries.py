"""The boundaries of a heal run, by the scenario that passes them first, in the order in which they are passed.

`body of` and `model` are code that runs; everything else is a file that is written, `result of` by Prefect for a task
or a flow of that name, the others by the journal. `time 2` is the second time that a process comes there.
"""

from tests.crash.matrix import Row

BOUNDARIES = {
    "healed": (
        "lock of incident",
        "policy",
        "token-key",
        "incident",
        "round-1/models",
        "round-1/sent/triage-crash-1/0",
        "model",
        "result of ask",
        "body of look_at_target",
        "body of preview_book",
        "body of preview_restore",
        "result of look_at_target",
        "result of preview_book",
        "result of preview_restore",
        "round-1/sent/triage-crash-1/1",
        "model, time 2",
        "result of ask, time 2",
        "round-1/triage-0",
        "round-1/mandate",
        "lock of table",
        "body of preview_book, time 2",
        "intention of book",
        "body of book",
        "receipt of book",
        "result of book",
        "body of preview_restore, time 2",
        "intention of restore",
        "body of restore",
        "receipt of restore",
        "result of restore",
        "round-1/repair",
        "body of check of book",
        "body of check of restore",
        "round-1/verification",
        "report-1-0",
        "report-1-0-told",
        "report",
        "result of heal",
    ),
    "undone": (
        "intention of remove",
        "body of remove",
        "receipt of remove",
        "result of remove",
        "intention of unbook",
        "body of unbook",
        "receipt of unbook",
        "result of unbook",
        "round-1/roll-back",
        "round-1/attempt",
    ),
    "letter": (
        "body of preview_send_letter",
        "result of preview_send_letter",
        "body of preview_send_letter, time 2",
        "intention of send_letter",
        "body of send_letter",
        "receipt of send_letter",
        "result of send_letter",
        "body of check of send_letter",
    ),
    "asked": (
        "report-1-1",
        "report-1-1-told",
        "round-1/answers",
        "lock of incident, time 2",
        "round-1/sent/triage-crash-1/2",
        "model, time 3",
        "result of ask, time 3",
        "round-1/triage-1",
        "report, time 2",
        "result of heal, time 2",
    ),
    "second_round": (
        "round-2/triage-0",
        "round-2/mandate",
        "intention of book, time 2",
        "body of book, time 2",
        "receipt of book, time 2",
        "intention of restore, time 2",
        "body of restore, time 2",
        "receipt of restore, time 2",
        "round-2/repair",
        "round-2/verification",
    ),
}

SAMPLED = ("second_round",)
"""Scenarios of which only some boundaries are killed at: a second round passes the same code as the first."""


def _rows():
    for scenario, listed in BOUNDARIES.items():
        for boundary in listed:
            is_code = boundary.startswith(("model", "body of"))
            yield Row(scenario, boundary, "before" if is_code else "torn")
            yield Row(scenario, boundary, "after")


ROWS = tuple(_rows())

UNKNOWN_AFTERWARDS = frozenset(
    {
        Row("letter", "intention of send_letter", "after"),
        Row("letter", "body of send_letter", "before"),
        Row("letter", "body of send_letter", "after"),
        Row("letter", "receipt of send_letter", "torn"),
    }
)
"""Where nobody can tell whether the effect happened that has neither a key nor a look."""
