"""Prefect flows that heal themselves: find the cause, repair what policy allows, verify, report."""
