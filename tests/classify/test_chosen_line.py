"""Which line decides: the chain's reason, and never what was overcome, warned of or said aside."""

from prefect_healing.classify import classify

CAUSE = "\nThe above exception was the direct cause of the following exception:\n\n"
CONTEXT = "\nDuring handling of the above exception, another exception occurred:\n\n"


def traceback(last: str, source: str = "run()") -> str:
    return f'Traceback (most recent call last):\n  File "/app/flow.py", line 9, in build\n    {source}\n{last}\n'


KEY = traceback("KeyError: 'dep_delay'")
REFUSED = traceback("httpx.ConnectError: [Errno 111] Connection refused")
WRAPPER = traceback("RuntimeError: load failed")


def test_what_is_wrapped_explains_more_than_the_wrapper():
    verdict = classify(REFUSED + CAUSE + WRAPPER)

    assert verdict.cause == "upstream_unavailable"
    assert verdict.decisive_line == "httpx.ConnectError: [Errno 111] Connection refused"


def test_a_specific_wrapper_explains_more_than_an_everyday_exception():
    verdict = classify(KEY + CAUSE + traceback("ValueError: missing columns ['dep_delay']; got ['departure_delay']"))

    assert verdict.cause == "schema_drift"
    assert verdict.decisive_line == "ValueError: missing columns ['dep_delay']; got ['departure_delay']"


def test_a_failure_after_a_handled_lookup_is_the_failure():
    """`except KeyError: fetch()` is ordinary; what fetch raises is the news."""
    verdict = classify(KEY + CONTEXT + REFUSED)

    assert verdict.decisive_line == "httpx.ConnectError: [Errno 111] Connection refused"


def test_a_bug_in_the_handler_does_not_hide_the_reason():
    verdict = classify(
        REFUSED + CONTEXT + traceback("AttributeError: 'ConnectError' object has no attribute 'response'")
    )

    assert verdict.cause == "upstream_unavailable"


def test_a_failed_cleaning_up_does_not_hide_the_reason():
    verdict = classify(
        traceback("sqlite3.OperationalError: no such column: x")
        + CONTEXT
        + traceback("sqlite3.ProgrammingError: Cannot operate on a closed database.")
    )

    assert verdict.cause == "schema_drift"


def test_the_last_traceback_counts_not_the_first():
    verdict = classify(f"{REFUSED}second attempt\n{traceback('ModuleNotFoundError: No module named pyarrow')}")

    assert verdict.cause == "dependency_env"


def test_a_last_failure_that_says_nothing_is_unknown_whatever_was_warned_of_before():
    verdict = classify(f"17:03:10.002 | WARNING | Task run 'a-0' - 503 Service Unavailable\n{WRAPPER}")

    assert verdict.cause == "unknown"
    assert verdict.decisive_line == "RuntimeError: load failed"
    assert verdict.confidence < 0.3


def test_an_error_that_was_overcome_is_no_cause():
    verdict = classify(
        "17:03:10.002 | ERROR   | Task run 'a-0' - 503 Service Unavailable\n17:03:11.002 | INFO    | Task run 'a-0' - attempt 2 succeeded\n"
        + WRAPPER
    )

    assert verdict.cause == "unknown"


def test_a_run_that_completed_has_no_cause():
    verdict = classify(
        "17:03:10.002 | ERROR   | Flow run 'a' - 503 Service Unavailable\n17:03:11.002 | INFO    | Flow run 'a' - Finished in state Completed()"
    )

    assert verdict.cause == "unknown"
    assert verdict.decisive_line is None


def test_what_the_failing_command_printed_explains_its_exit_status():
    verdict = classify(
        "Database error: could not connect\nno such table: flights\n"
        + traceback("subprocess.CalledProcessError: Command '['load']' returned non-zero exit status 1.")
    )

    assert verdict.cause == "schema_drift"
    assert verdict.decisive_line == "no such table: flights"


def test_a_failed_task_explains_a_flow_that_only_counts():
    text = (
        "17:03:10.002 | ERROR   | Task run 'extract-0' - Task run failed with exception: ConnectError('[Errno 111] Connection refused') - Retries are exhausted\n"
        + REFUSED
        + "17:03:10.003 | ERROR   | Flow run 'a' - Encountered exception during execution: RuntimeError('2 of 10 tasks failed')\n"
        + traceback("RuntimeError: 2 of 10 tasks failed")
        + "17:03:10.004 | ERROR   | Flow run 'a' - Finished in state Failed('Flow run encountered an exception: RuntimeError: 2 of 10 tasks failed')\n"
    )

    verdict = classify(text)

    assert verdict.cause == "upstream_unavailable"
    assert verdict.decisive_line == "httpx.ConnectError: [Errno 111] Connection refused"


def test_prefect_saying_it_again_does_not_take_the_place_of_the_exception():
    text = (
        REFUSED
        + "17:03:10.004 | INFO    | Flow run 'a' - Finished in state Failed('Flow run encountered an exception: ConnectError: [Errno 111] Connection refused')\n"
    )

    assert classify(text).decisive_line == "httpx.ConnectError: [Errno 111] Connection refused"


def test_a_process_that_is_killed_after_an_earlier_failure_was_killed():
    assert classify(KEY + "Killed\n").cause == "infra_crash"


def test_a_failed_notification_after_the_failure_is_no_cause():
    verdict = classify(
        KEY + "17:03:10.002 | ERROR   | Flow run 'a' - Failed to send slack notification: 503 Service Unavailable\n"
    )

    assert verdict.cause == "code_bug"


def test_an_ignored_exception_is_no_cause():
    verdict = classify(KEY + "Exception ignored in: <function Pool.__del__ at 0x7f>\n" + REFUSED)

    assert verdict.cause == "code_bug"


def test_the_parameters_of_a_statement_are_no_cause():
    verdict = classify(
        "sqlalchemy.exc.StatementError: (odd) thing\n[SQL: INSERT INTO t VALUES (?)]\n[parameters: ('503 Service Unavailable',)]"
    )

    assert verdict.cause == "code_bug"


def test_a_lookup_is_judged_by_where_it_happened():
    """A column of a frame or of a fetched record: schema_drift; an environment variable: config_error; else code_bug."""
    in_pandas = "Traceback (most recent call last):\n  File \"/v/pandas/core/indexes/base.py\", line 3812, in get_loc\n    raise KeyError(key) from err\nKeyError: 'dep_delay'"
    in_environment = 'Traceback (most recent call last):\n  File "/app/f.py", line 2, in f\n    os.environ["KEY"]\n  File "<frozen os>", line 679, in __getitem__\nKeyError: \'KEY\''

    assert classify(in_pandas).cause == "schema_drift"
    assert classify(in_environment).cause == "config_error"
    assert classify(traceback("KeyError: 'dep_delay'", 'total += row["dep_delay"]')).cause == "schema_drift"
    assert classify(traceback("KeyError: 'dep_delay'", 'HANDLERS["dep_delay"]()')).cause == "code_bug"


def test_a_group_is_told_by_its_members():
    text = (
        '  + Exception Group Traceback (most recent call last):\n  |   File "/app/f.py", line 3, in main\n  |     async with g:\n'
        "  | ExceptionGroup: unhandled errors in a TaskGroup (1 sub-exception)\n  +-+---------------- 1 ----------------\n"
        '    | Traceback (most recent call last):\n    |   File "/app/f.py", line 9, in get\n    |     raise x\n    | httpx.ReadTimeout: timed out\n    +------------------------------------\n'
    )

    verdict = classify(text)

    assert verdict.cause == "timeout"


def test_colours_do_not_hide_a_line():
    verdict = classify("\x1b[31m17:03:10.002\x1b[0m | \x1b[1;31mERROR\x1b[0m   | Task run 'a-0' - database is locked")

    assert verdict.cause == "concurrency_conflict"
    assert "\x1b" not in (verdict.decisive_line or "")
