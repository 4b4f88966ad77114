"""`classify` takes any bytes that a system may have logged."""

import io
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.cli.conftest import Cli

TEXT = "Traceback (most recent call last):\nKeyError: 'dep_delay_total'\n"


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch):
    def give(content: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))

    return give


def test_from_standard_input(cli: Cli, given):
    given(TEXT.encode())

    found = cli("classify", "--json").json

    assert found["decisive_line"] == "KeyError: 'dep_delay_total'"
    assert set(found) == {"cause", "transience", "confidence", "decisive_line", "rerun_helps"}


def test_from_a_file_for_people(cli: Cli, tmp_path: Path):
    file = tmp_path / "log"
    file.write_text(TEXT)

    assert "decisive_line  KeyError: 'dep_delay_total'" in cli("classify", file).out


def test_bytes_that_are_no_text(cli: Cli, given):
    given(b"\xff\xfe\x00 KeyError\n" + TEXT.encode() + b"\xc3\x28")

    assert cli("classify", "--json").status == 0


def test_nothing_at_all_is_unknown(cli: Cli, given):
    given(b"")

    assert cli("classify", "--json").json["cause"] == "unknown"


def test_a_line_of_50_megabytes(cli: Cli, given):
    given(b"x" * 50_000_000 + b"\n" + TEXT.encode())

    assert cli("classify", "--json").json["decisive_line"] == "KeyError: 'dep_delay_total'"


@pytest.mark.parametrize("missing", ["nowhere.log", "."])
def test_a_file_that_cannot_be_read_is_named(cli: Cli, missing: str):
    done = cli("classify", missing)

    assert done.status == 1
    assert done.err.startswith(f"prefect-healing: Cannot read {missing}: ")
