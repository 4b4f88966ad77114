"""Where one demo runs: its folder, its addresses, and the environment of its processes."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from prefect_healing.demo.processes import free_port
from prefect_healing.demo.vendor import TOKEN

CATALOG = Path(__file__).with_name("catalog.yaml")
"""What is declared of the demo's tables."""


@dataclass(frozen=True)
class Surroundings:
    """The folder that everything of one demo is kept in, and its addresses on 127.0.0.1."""

    home: Path
    server_port: int
    vendor_port: int
    warehouse_url: str

    @classmethod
    def at(cls, home: Path, warehouse: str | None) -> "Surroundings":
        """Take free ports; the warehouse is a SQLite file in `home` where none is given."""
        home = home.resolve()
        return cls(home, free_port(), free_port(), warehouse or f"sqlite:///{home / 'warehouse.db'}")

    @property
    def ui_url(self) -> str:
        """Return the address of the Prefect UI."""
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def api_url(self) -> str:
        """Return the address of the Prefect API."""
        return f"{self.ui_url}/api"

    @property
    def vendor_url(self) -> str:
        """Return the address of the vendor."""
        return f"http://127.0.0.1:{self.vendor_port}"

    @property
    def prefect_home(self) -> Path:
        """Return the folder that Prefect keeps its own files in."""
        return self.home / "prefect"

    @property
    def results(self) -> Path:
        """Return the folder of persisted results."""
        return self.home / "results"

    def environment(self, inherited: Mapping[str, str] = os.environ) -> dict[str, str]:
        """Return the environment of the demo's processes: nothing of the user's own Prefect, all of the rest."""
        return {name: value for name, value in inherited.items() if not _foreign(name)} | self._own()

    def _own(self) -> dict[str, str]:
        return {
            "PREFECT_HOME": str(self.prefect_home),
            "PREFECT_API_URL": self.api_url,
            "PREFECT_RESULTS_LOCAL_STORAGE_PATH": str(self.results),
            "PREFECT_RUNNER_POLL_FREQUENCY": "2",
            # The page of the UI asks the server where the API is, and is told 4200 unless this is set.
            "PREFECT_SERVER_UI_API_URL": self.api_url,
            "PREFECT_UI_URL": self.ui_url,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            # Nothing of the demo is scheduled, and no work pool is watched.
            "PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED": "false",
            "PREFECT_SERVER_SERVICES_LATE_RUNS_ENABLED": "false",
            "PREFECT_SERVER_SERVICES_FOREMAN_ENABLED": "false",
            "PREFECT_HEALING_MODE": "heal",
            "VENDOR_URL": self.vendor_url,
            "VENDOR_TOKEN": TOKEN,
            "WAREHOUSE_URL": self.warehouse_url,
            "PREFECT_HEALING_WAREHOUSE": self.warehouse_url,
            "PREFECT_HEALING_CATALOG": str(CATALOG),
            # Ten minutes are right for production, and long for somebody who watches.
            "PREFECT_HEALING_SOURCE_WAIT_MINUTES": "1",
            # Many processes start side by side here, on what may be two cores.
            "PREFECT_HEALING_DISPATCH_SECONDS": "60",
        }


def _foreign(name: str) -> bool:
    # Each flow run is a new process, which without compiled modules would compile all of this package again.
    if name == "PYTHONDONTWRITEBYTECODE":
        return True
    return name.startswith("PREFECT_") and not name.startswith("PREFECT_HEALING_")
