"""Names of our own flow runs, as lists in the Prefect UI show them."""

from contextlib import suppress

from prefect_healing.errors import ToolError
from prefect_healing.tools.prefect_api import prefect_client

_NAME_CHARS_MAX = 200


async def rename_own_run(name: str) -> None:
    """Rename the flow run that this is called in, now that it is known what it found.

    A name is a comfort: where the server does not answer, or outside a flow run, the old one stays.
    """
    from prefect.context import FlowRunContext

    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return
    with suppress(ToolError):
        async with prefect_client() as client:
            await client.update_flow_run(context.flow_run.id, name=name[:_NAME_CHARS_MAX])
