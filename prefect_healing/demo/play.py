"""Play scenarios: set the faults, start the runs side by side, wait until every incident is closed."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
from pydantic import TypeAdapter

from prefect_healing.demo.course import Course
from prefect_healing.demo.faults import DayCount
from prefect_healing.demo.processes import Child
from prefect_healing.demo.result import ScenarioResult
from prefect_healing.demo.scenarios import Scenario
from prefect_healing.demo.screen import Screen
from prefect_healing.demo.stage import Stage
from prefect_healing.demo.surroundings import Surroundings
from prefect_healing.demo.vendor import TOKEN
from prefect_healing.demo.watch import look
from prefect_healing.domain.report import Report

LONGEST_SECONDS = 420.0
"""So long after its beginning a scenario that has not ended is unfinished."""

AT_ONCE = 5
"""How many scenarios go on at a time: two cores start no more processes in good time."""

_LOOK_SECONDS = 1.5
_COUNTS = TypeAdapter(dict[str, DayCount])


async def play(
    scenarios: Sequence[Scenario], at: Surroundings, screen: Screen, needed: Sequence[Child]
) -> tuple[ScenarioResult, ...]:
    """Play all scenarios and return how each ended. Raises ProcessDied where a needed process ends."""
    from prefect.client.orchestration import get_client

    async with AsyncExitStack() as stack:
        vendor = await stack.enter_async_context(_vendor(at))
        client = await stack.enter_async_context(get_client())
        courses = [Course(each) for each in scenarios]
        await _play(courses, Stage(client, vendor, at, stack), screen, needed)
        counts = _COUNTS.validate_json((await vendor.get("/counts")).raise_for_status().content)
        return tuple([await _result(each, counts, at) for each in courses])


def _vendor(at: Surroundings) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=at.vendor_url, headers={"Authorization": f"Bearer {TOKEN}"})


async def _play(courses: Sequence[Course], stage: Stage, screen: Screen, needed: Sequence[Child]) -> None:
    since = datetime.now(UTC) - timedelta(seconds=1)
    while True:
        runs = await look(stage.client, since)
        for course in courses:
            if course.see(runs):
                screen.say(f"{course.scenario.name}: {course.sight.words}")
            course.give_up_after(LONGEST_SECONDS)
        if all(course.outcome for course in courses):
            return
        for course in _due(courses):
            course.begun_run(await stage.start(course.scenario, len(course.run_ids)))
        for process in needed:
            process.check_alive()
        await asyncio.sleep(_LOOK_SECONDS)


def _due(courses: Sequence[Course]) -> list[Course]:
    """Return the courses whose next run may start now."""
    going_on = [each for each in courses if each.run_ids and not each.outcome]
    waiting = [each for each in courses if not each.run_ids]
    return [each for each in going_on if each.next_may_start] + waiting[: max(0, AT_ONCE - len(going_on))]


async def _result(course: Course, counts: dict[str, DayCount], at: Surroundings) -> ScenarioResult:
    sight = course.sight
    shown = sight.heal or sight.run
    return ScenarioResult.of(
        course.scenario,
        await _report(sight.heal.id) if sight.heal else None,
        outcome=course.outcome or "unfinished",
        requests=counts.get(course.scenario.day.isoformat(), DayCount()).requests,
        seconds=sight.seconds,
        incident_id=sight.incident_id,
        url=f"{at.ui_url}/runs/flow-run/{shown.id}" if shown else None,
    )


async def _report(heal_run_id: UUID) -> Report | None:
    from prefect_healing.api import report_of_run

    return await report_of_run(heal_run_id)
