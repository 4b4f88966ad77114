"""Failure text to cause, transience and decisive line, without a model: pure and explainable."""

from prefect_healing.classify.exception_text import text_of_exception
from prefect_healing.classify.fingerprint import fingerprint
from prefect_healing.classify.retry import failure_text, retry_if_transient
from prefect_healing.classify.verdict import classify

__all__ = ["classify", "failure_text", "fingerprint", "retry_if_transient", "text_of_exception"]
