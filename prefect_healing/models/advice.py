"""What the rules say of a cause in words, and what a person might do about it."""

from typing import Final

from prefect_healing.domain.cause import Cause
from prefect_healing.domain.classification import Classification

_SENTENCES: Final[dict[Cause, str]] = {
    "transient_network": "The connection to a system that the flow reads from broke.",
    "upstream_unavailable": "A system that the flow reads from did not serve its requests.",
    "rate_limited": "A system that the flow reads from limits how often it may be asked.",
    "auth": "A system refused the flow's credentials.",
    "schema_drift": "The data no longer has the columns or types that the flow expects.",
    "data_quality": "The data breaks a rule that the flow or the database keeps.",
    "missing_upstream_data": "Data that the flow needs is not there.",
    "resource_exhausted": "The machine or the database ran out of memory, disk or connections.",
    "infra_crash": "The process that ran the flow was ended from outside.",
    "concurrency_conflict": "Two writers were in each other's way.",
    "dependency_env": "The environment lacks a package or a program that the flow needs.",
    "config_error": "A setting or a parameter of the flow is wrong.",
    "code_bug": "The flow's own code fails on this input.",
    "timeout": "Something took longer than the flow allows.",
    "unknown": "No known signature fits this failure.",
}

_ADVICE: Final[dict[Cause, str]] = {
    "auth": "Renew or correct the credentials that the flow uses, then run it again.",
    "schema_drift": "Settle with the owner of the source which columns count, adapt the flow, then run it again.",
    "data_quality": "Look at the rows that the message names, and correct them at their source.",
    "missing_upstream_data": "Find out why the source has no data, and run the flow when it is there.",
    "resource_exhausted": "Give the run more of what it lacks, or let it need less, then run it again.",
    "dependency_env": "Install what is missing where the flow runs, then run it again.",
    "config_error": "Correct the setting or the parameter, then run the flow again.",
    "code_bug": "Correct the code at the decisive line, deploy it, then run the flow again.",
    "unknown": "Read the evidence below; what failed is in its last lines.",
}


def sentence_for(found: Classification) -> str:
    """Return the cause in one sentence."""
    return _SENTENCES[found.cause]


def advice_for(found: Classification, refused: str | None) -> str:
    """Return what a person might do. `refused` is why a re-run could not be previewed, where one would have helped."""
    if refused is not None:
        reason = refused.partition("\n")[2] or refused
        return f"A re-run is likely to help but could not be prepared: {reason}"[:900]
    return _ADVICE.get(found.cause, "Look at the decisive line, remove the cause, then run the flow again.")
