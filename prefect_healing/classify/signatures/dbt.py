"""dbt, as its log and its results have it, and as `dbt_build` raises it."""
# ruff: noqa: E501 a row, and above all its pattern, reads best on one line

from prefect_healing.classify.signature import MAY_RETURN, PASSES, STAYS, Signature

_NODES = r"(?:model|test|data test|unit test|snapshot|seed|operation|analysis|macro|function)"

ROWS = (
    Signature(
        "dbt.test_failed",
        "data_quality",
        STAYS,
        0.93,
        r"Got \d+ results?, configured to fail if|\bstatus fail: \d+ failures\b",
        "configured failures",
        "dbt-core task/test.py: build_test_run_result",
        "prefect_healing.dbt.build.DbtBuildFailed: dbt build of shop failed at test not_null_orders_amount of orders, status fail: 3 failures: Got 3 results, configured to fail if != 0",
    ),
    Signature(
        "dbt.compilation",
        "code_bug",
        STAYS,
        0.93,
        rf"Compilation Error(?: in {_NODES}\b|\s*$|\s{{1,9}}\S)|depends on a (?:node|source) named '[^'\n]{{1,200}}' which was not found",
        "compilation depends",
        "dbt-common exceptions: CompilationError; dbt-core TargetNotFoundError",
        "prefect_healing.dbt.build.DbtBuildFailed: dbt build of shop failed at model daily, status error: Compilation Error in model daily (models/daily.sql) 'orders_since' is undefined. This can happen when calling a macro that does not exist.",
    ),
    Signature(
        "dbt.selection",
        "config_error",
        STAYS,
        0.9,
        r"selection criterion '[^'\n]{1,400}' does not match any|dbt selects no node with '",
        "criterion selects",
        "dbt-core events: NoNodesForSelectionCriteria",
        "prefect_healing.dbt.build.DbtBuildFailed: dbt build of shop did not run: dbt selects no node with 'dayly'. Look at dbt_lineage for the names of nodes.",
    ),
    Signature(
        "dbt.configuration",
        "config_error",
        STAYS,
        0.9,
        r"Could not find profile named '|No dbt_project\.yml found|Error encountered in \S{0,300}dbt_project\.yml|Env var required but not provided|The profile '[^'\n]{1,200}' does not have a target named|Could not find adapter type",
        "profile dbt_project env adapter",
        "dbt-core config: DbtProjectError, DbtProfileError, EnvVarMissingError",
        "prefect_healing.dbt.build.DbtBuildFailed: dbt build of shop did not run: dbt build was refused: Runtime Error\n  Could not find profile named 'shop'",
    ),
    Signature(
        "dbt.busy",
        "concurrency_conflict",
        PASSES,
        0.9,
        r"Another dbt has been at work on \S|Another process has the database file open, so dbt could not",
        "dbt",
        "prefect_healing.dbt: one dbt at a time for a project, one process at a time for a DuckDB file",
        "prefect_healing.dbt.build.DbtBuildFailed: dbt build of shop did not run: Another process has the database file open, so dbt could not; try again later.",
    ),
    Signature(
        "dbt.timeout",
        "timeout",
        MAY_RETURN,
        0.9,
        r"dbt [a-z]{1,20} did not end within \d+ s and was ended",
        "dbt",
        "prefect_healing.dbt: a command has a time limit",
        "prefect_healing.dbt.build.DbtBuildFailed: dbt build of shop did not run: dbt build did not end within 3600 s and was ended; select fewer nodes.",
    ),
    Signature(
        "dbt.database",
        "code_bug",
        STAYS,
        0.62,
        rf"(?:Database|Runtime) Error in {_NODES} \w",
        "database runtime",
        "dbt-common exceptions: DbtDatabaseError, DbtRuntimeError; what the database says follows, and decides where it is known",
        "prefect_healing.dbt.build.DbtBuildFailed: dbt build of shop failed at model daily, status error: Database Error in model daily (models/daily.sql) window function calls cannot be nested LINE 4: sum(sum(amount) over ())",
    ),
)
