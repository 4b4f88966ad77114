"""Manifests of sources that behave well, badly and oddly; nothing they do is an error."""

import time
from datetime import date
from typing import Any

import pytest

from prefect_healing.domain.catalog import Upstream
from prefect_healing.tools.manifest import BODY_BYTES_MAX, read_manifest
from tests.warehouse_read.conftest import DAY, ManifestServer

THE_DAY = date.fromisoformat(DAY)
WHOLE = {"rows": 842, "nulls": {"tailnum": 3}, "columns": {"tailnum": "string"}, "last_data": "2013-01-07"}


async def test_a_source_says_what_it_has_of_a_day(vendor: ManifestServer):
    vendor.says[DAY] = (200, WHOLE)

    found = await read_manifest(vendor.source(), THE_DAY)

    assert found.model_dump() == WHOLE | {"up": True, "has_partition": True, "detail": ""}
    assert vendor.asked == [f"/manifest/{DAY}"]


async def test_keys_may_be_nested_or_not_be_read_at_all(vendor: ManifestServer):
    vendor.says[DAY] = (200, {"data": {"count": 3, "days": ["a", "b"]}, "nulls": {"x": 1}, "columns": {"x": "int"}})

    source = vendor.source(rows="data.count", nulls=None, columns=None, last_data="data.days.1")
    found = await read_manifest(source, THE_DAY)

    assert (found.rows, found.nulls, found.columns, found.last_data) == (3, {}, {}, "b")


async def test_404_means_that_the_source_has_no_such_partition(vendor: ManifestServer):
    vendor.says[DAY] = (404, {"last_data": "2013-01-04"})

    found = await read_manifest(vendor.source(), THE_DAY)

    assert (found.up, found.has_partition, found.rows, found.last_data) == (True, False, None, "2013-01-04")
    assert DAY in found.detail


@pytest.mark.parametrize("status", [200, 404])
async def test_without_a_day_only_the_newest_data_are_learned(vendor: ManifestServer, status: int):
    vendor.says["*"] = (status, WHOLE)

    found = await read_manifest(vendor.source(), None)

    assert (found.up, found.has_partition, found.rows, found.nulls) == (True, None, None, {})
    assert found.last_data == "2013-01-07"


@pytest.mark.parametrize(("status", "up"), [(503, False), (429, False), (302, False), (401, True), (410, True)])
async def test_other_answers_tell_nothing_of_the_partition(vendor: ManifestServer, status: int, up: bool):
    vendor.says["*"] = (status, WHOLE)

    found = await read_manifest(vendor.source(), THE_DAY)

    assert (found.up, found.has_partition, found.rows) == (up, None, None)
    assert found.detail
    assert vendor.asked == [f"/manifest/{DAY}"]


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"<html>",
        b"\xff\xfe\x00",
        b"[" * 200_000,
        b'{"rows": 1' + b" " * BODY_BYTES_MAX + b"}",
        b"[1, 2]",
        b"null",
    ],
)
async def test_an_answer_that_is_no_manifest_tells_nothing(vendor: ManifestServer, said: bytes):
    vendor.says[DAY] = (200, said)

    found = await read_manifest(vendor.source(), THE_DAY)

    assert (found.up, found.has_partition, found.rows) == (True, None, None)
    assert found.detail


@pytest.mark.parametrize(
    ("rows", "read"),
    [(3, 3), (3.0, 3), (0, 0), (-1, None), (2.5, None), (True, None), ("3", None), (None, None), (1e999, None)],
)
async def test_only_a_count_is_a_count(vendor: ManifestServer, rows: Any, read: int | None):
    vendor.says[DAY] = (200, {"rows": rows, "nulls": {"x": rows, "y": 1}, "columns": {"x": rows, "y": "int"}})

    found = await read_manifest(vendor.source(), THE_DAY)

    assert (found.has_partition, found.rows, found.nulls.get("x"), found.nulls["y"]) == (True, read, read, 1)
    assert (read is None) == ("no row count" in found.detail)


async def test_a_source_that_does_not_answer_is_given_up_after_five_seconds(vendor: ManifestServer):
    vendor.says[DAY] = (0, None)
    began = time.monotonic()

    found = await read_manifest(vendor.source(), THE_DAY)

    assert (found.up, found.has_partition) == (False, None)
    assert time.monotonic() - began < 8


@pytest.mark.parametrize(
    "address",
    ["http://127.0.0.1:1/{partition}", "http://[bad/{partition}", "http://host.invalid:99999/", "http://\x00/"],
)
async def test_an_address_where_nobody_is_is_down(address: str):
    found = await read_manifest(Upstream(name="vendor", manifest=address), THE_DAY)

    assert (found.up, found.has_partition) == (False, None)
    assert found.detail


async def test_a_manifest_of_thousands_of_columns_is_bounded(vendor: ManifestServer):
    names = [f"column_{each}" for each in range(9_000)]
    vendor.says[DAY] = (200, {"rows": 1, "nulls": dict.fromkeys(names, 0), "columns": {"x" * 1_000: "y" * 1_000}})

    found = await read_manifest(vendor.source(), THE_DAY)

    assert len(found.nulls) == 2_000
    assert all(len(name) < 300 and len(kind) < 300 for name, kind in found.columns.items())
