"""Failure text to cause, transience and decisive line, without a model: pure and explainable."""

from prefect_healing.classify.verdict import classify

__all__ = ["classify"]
