"""A confirmation token belongs to one previewed call, and to nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_healing.domain.plan import Scope
from prefect_healing.errors import ConfigurationError
from prefect_healing.guardrails.tokens import confirmation_token, is_genuine, new_token_key

KEY = b"k" * 32
CALL = {
    "incident_id": "7F3KQ2XA",
    "round": 1,
    "tool": "retry_flow_run",
    "arguments": {"flow_run_id": "0198a6c2", "not_before": None},
    "scope": Scope(summary="one run", flow_runs=("0198a6c2",)),
    "policy_version": "a" * 64,
}
OTHER = {
    "incident_id": "7F3KQ2XB",
    "round": 2,
    "tool": "run_deployment",
    "arguments": {"flow_run_id": "0198a6c3", "not_before": None},
    "scope": Scope(summary="one run", flow_runs=("0198a6c2",), basis="changed"),
    "policy_version": "b" * 64,
}


def test_a_token_is_genuine_for_its_call():
    """What was previewed can be carried out."""
    token = confirmation_token(KEY, **CALL)

    assert len(token) == 32
    assert is_genuine(token, KEY, **CALL)


@pytest.mark.parametrize("field", CALL)
def test_a_token_is_bound_to_every_field(field: str):
    """Whatever differs from the preview voids the token."""
    token = confirmation_token(KEY, **CALL)

    assert not is_genuine(token, KEY, **{**CALL, field: OTHER[field]})


@pytest.mark.parametrize("field", Scope.model_fields)
def test_a_token_is_bound_to_every_field_of_the_scope(field: str):
    """A preview that would find something else today voids the token."""
    changed = {"summary": "x", "basis": "x", "rows_written": 1, "rows_deleted": 1, "share": 0.1}.get(field, ("x",))
    scope = CALL["scope"].model_copy(update={field: changed})

    assert not is_genuine(confirmation_token(KEY, **CALL), KEY, **{**CALL, "scope": scope})


def test_a_token_of_another_key_is_forged():
    """Keys are not interchangeable."""
    assert not is_genuine(confirmation_token(new_token_key(), **CALL), KEY, **CALL)


def test_the_order_of_arguments_does_not_matter():
    """Equal calls have equal tokens."""
    turned = dict(reversed(CALL["arguments"].items()))

    assert confirmation_token(KEY, **CALL) == confirmation_token(KEY, **{**CALL, "arguments": turned})


@given(st.text(max_size=40))
def test_whatever_a_model_writes_is_not_a_token(text: str):
    """Made-up tokens are refused and never crash."""
    assert not is_genuine(text, KEY, **CALL)


def test_a_token_with_half_a_letter_is_refused():
    """Not even invalid UTF-8 gets through."""
    assert not is_genuine("\udcff" * 32, KEY, **CALL)


def test_a_short_key_is_refused():
    """A key that can be guessed is no key."""
    with pytest.raises(ConfigurationError, match="new_token_key"):
        confirmation_token(b"", **CALL)
