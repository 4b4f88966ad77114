"""The vendor misbehaves as it is told, one day at a time, and counts what it was asked."""

from datetime import date
from time import monotonic

import httpx
import pytest

from prefect_healing.demo.faults import FaultName
from prefect_healing.demo.vendor import VendorServer

DAY, ANOTHER_DAY = date(2013, 1, 5), date(2013, 1, 6)


def break_day(client: httpx.Client, fault: FaultName, **params: float) -> None:
    body = {"day": DAY.isoformat(), "fault": fault, "params": params}
    client.post("/faults", json=body).raise_for_status()


def manifest(client: httpx.Client, day: date = DAY) -> httpx.Response:
    return client.get("/manifest", params={"day": day.isoformat()})


def ask(client: httpx.Client, day: date = DAY) -> httpx.Response:
    return client.get("/flights", params={"day": day.isoformat()})


def test_a_healthy_vendor_serves_the_day_with_its_own_count(client: httpx.Client):
    page = ask(client).raise_for_status().json()

    assert page["rows"] == len(page["flights"]) == 720
    assert {"dep_delay", "carrier", "origin"} <= page["flights"][0].keys()


def test_without_the_token_nothing_is_served(vendor: VendorServer):
    for path in ("/flights?day=2013-01-05", "/counts"):
        assert httpx.get(f"{vendor.url}{path}").status_code == 401
    assert httpx.post(f"{vendor.url}/faults", json={}).status_code == 401


def test_an_outage_lasts_for_its_seconds_and_health_says_so(client: httpx.Client):
    """It begins with the first request, so that a slow start of the client does not miss it."""
    break_day(client, "vendor_outage", seconds=0.6)
    assert client.get("/health").status_code == 200

    began = monotonic()
    assert ask(client).status_code == 503
    assert client.get("/health").json()["status"] == "down"
    assert client.get("/health", params={"day": DAY.isoformat()}).status_code == 503
    assert client.get("/health", params={"day": ANOTHER_DAY.isoformat()}).status_code == 200

    while ask(client).status_code == 503:
        assert monotonic() - began < 5
    assert monotonic() - began >= 0.6
    assert client.get("/health").json() == {"status": "up", "last_day": "2013-12-31"}


def test_an_outage_may_last_for_some_requests(client: httpx.Client):
    break_day(client, "vendor_outage", requests=2)

    assert [ask(client).status_code for _ in range(4)] == [503, 503, 200, 200]


def test_a_rate_limit_says_how_long_to_wait(client: httpx.Client):
    break_day(client, "rate_limited", seconds=30)

    response = ask(client)

    assert response.status_code == 429
    assert 1 <= int(response.headers["Retry-After"]) <= 30


def test_a_cut_connection_ends_in_the_middle_of_the_body(client: httpx.Client):
    break_day(client, "cut_connection", requests=1)

    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
        ask(client)
    assert ask(client).status_code == 200


def test_a_slow_vendor_outlasts_the_patience_of_its_client(client: httpx.Client):
    break_day(client, "slow_vendor", requests=1)

    with pytest.raises(httpx.ReadTimeout):
        client.get("/flights", params={"day": DAY.isoformat()}, timeout=0.1)
    assert ask(client).status_code == 200


def test_a_renamed_column_stays_renamed(client: httpx.Client):
    break_day(client, "renamed_column")

    for _ in range(2):
        row = ask(client).json()["flights"][0]
        assert "departure_delay" in row
        assert "dep_delay" not in row


def test_revoked_credentials_are_refused_for_good(client: httpx.Client):
    break_day(client, "bad_credentials")

    assert [ask(client).status_code for _ in range(3)] == [401, 401, 401]


def test_a_fault_of_one_day_leaves_the_others_alone(client: httpx.Client):
    break_day(client, "vendor_outage", requests=100)

    assert ask(client, ANOTHER_DAY).status_code == 200


def test_health_of_a_day_can_be_restored(client: httpx.Client):
    break_day(client, "bad_credentials")
    break_day(client, "healthy")

    assert ask(client).status_code == 200


def test_every_request_of_a_day_is_counted_with_what_it_got(client: httpx.Client):
    break_day(client, "vendor_outage", requests=2)
    for _ in range(3):
        ask(client)

    counts = client.get("/counts").json()

    assert counts == {"2013-01-05": {"requests": 3, "served": 1, "statuses": {"503": 2, "200": 1}}}


@pytest.mark.parametrize(
    "body",
    [
        b"not json",
        b'{"day": "2013-02-30", "fault": "healthy"}',
        b'{"day": "2013-01-05", "fault": "gremlins"}',
        b'{"day": "2013-01-05", "fault": "vendor_outage", "params": {"seconds": -1}}',
        b'{"day": "2013-01-05", "fault": "healthy", "params": {"minutes": 1}}',
    ],
)
def test_an_order_that_makes_no_sense_is_refused(client: httpx.Client, body: bytes):
    assert client.post("/faults", content=body).status_code == 422


def test_a_question_that_makes_no_sense_is_refused(client: httpx.Client):
    assert client.get("/flights").status_code == 400
    assert client.get("/flights", params={"day": "2013-02-30"}).status_code == 400
    assert client.get("/manifest").status_code == 400
    assert client.get("/manifest", params={"day": "'; drop table"}).status_code == 400
    assert client.get("/nothing").status_code == 404


def test_the_manifest_tells_what_the_day_has(client: httpx.Client):
    """In the storm of 2013-02-08 half of the departures never happened: the source itself has it so."""
    healthy, storm = manifest(client).json(), manifest(client, date(2013, 2, 8)).json()

    assert (healthy["rows"], healthy["nulls"]["dep_time"], healthy["last_data"]) == (720, 3, "2013-12-31")
    assert (healthy["columns"]["dep_delay"], healthy["columns"]["carrier"]) == ("integer", "text")
    assert (storm["rows"], storm["nulls"]["dep_time"], storm["nulls"]["carrier"]) == (930, 472, 0)


def test_the_manifest_is_open_to_all_and_asking_it_changes_nothing(vendor: VendorServer, client: httpx.Client):
    """The healer asks it, which has no credentials of the pipeline; faults are met by those who want the flights."""
    break_day(client, "late", requests=1)

    for _ in range(3):
        assert httpx.get(f"{vendor.url}/manifest", params={"day": DAY.isoformat()}).status_code == 404
    assert client.get("/counts").json() == {}
    assert ask(client).status_code == 404
    assert manifest(client).json()["rows"] == 720


def test_a_truncated_day_is_short_with_status_200_and_its_manifest_is_whole(client: httpx.Client):
    break_day(client, "truncated", requests=1)

    page = ask(client).raise_for_status().json()

    assert page["rows"] == len(page["flights"]) == 432
    assert manifest(client).json()["rows"] == 720
    assert ask(client).json()["rows"] == 720
    assert client.get("/counts").json()[DAY.isoformat()] == {"requests": 2, "served": 1, "statuses": {"200": 2}}


def test_bad_rows_are_the_same_five_each_time(client: httpx.Client):
    """They are in the source, so that loading the day again brings them again."""
    break_day(client, "bad_rows")
    pages = [ask(client).json()["flights"] for _ in range(2)]

    assert pages[0] == pages[1]
    assert sum(row["distance"] < 0 for row in pages[0]) == 5
    assert manifest(client).json()["rows"] == 720


def test_a_late_day_is_not_there_and_what_was_last_there_is_said(client: httpx.Client):
    break_day(client, "late")

    for answer in (ask(client), manifest(client)):
        assert answer.status_code == 404
        assert answer.json()["last_data"] == "2013-01-04"
    assert manifest(client, ANOTHER_DAY).json()["last_data"] == "2013-12-31"
    assert client.get("/health", params={"day": DAY.isoformat()}).status_code == 200


def test_a_late_day_arrives_some_seconds_after_it_was_first_asked_for(client: httpx.Client):
    break_day(client, "late", seconds=0.5)
    assert manifest(client).status_code == 404

    began = monotonic()
    while ask(client).status_code == 404:
        assert monotonic() - began < 5

    assert monotonic() - began >= 0.5
    assert manifest(client).json()["rows"] == 720


def test_while_the_newest_day_is_late_the_one_before_is_the_newest(client: httpx.Client):
    newest = date(2013, 12, 31)
    client.post("/faults", json={"day": newest.isoformat(), "fault": "late", "params": {}}).raise_for_status()

    assert manifest(client, newest).json()["last_data"] == "2013-12-30"
    assert manifest(client).json()["last_data"] == "2013-12-30"


def test_a_day_that_the_vendor_never_had_is_not_there(client: httpx.Client):
    assert ask(client, date(2014, 1, 1)).status_code == 404
    assert manifest(client, date(2014, 1, 1)).json()["last_data"] == "2013-12-31"


@pytest.mark.parametrize(("fault", "column"), [("new_column", "dep_gate"), ("changed_type", "dep_delay")])
def test_a_change_of_the_schema_shows_in_the_manifest_too(client: httpx.Client, fault: FaultName, column: str):
    before = manifest(client).json()["columns"]
    break_day(client, fault)

    after = manifest(client).json()["columns"]

    assert before.get(column) != after[column] == "text"
    assert {type(row[column]) for row in ask(client).json()["flights"]} <= {str, type(None)}
