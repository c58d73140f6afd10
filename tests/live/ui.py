"""A local Airflow in the browser with the emulator's page beside it (``make ui``)."""

from __future__ import annotations

import shutil
import sys
import time

from tests.live.airflow_home import ROOT, AirflowHome
from tests.live.local_airflow import LocalAirflow, local_airflow
from tests.live.local_emulator import LocalEmulator, local_emulator
from tests.live.processes import LiveError, die_politely, free_port

_FOLDER = ROOT / ".airflow-ui"
_PORT = 8080


def main() -> int:
    """Serve until Ctrl-C and give the exit status."""
    die_politely()
    shutil.rmtree(_FOLDER, ignore_errors=True)
    _FOLDER.mkdir()
    home = AirflowHome(_FOLDER / "airflow", free_port(_PORT))
    if home.port != _PORT:
        print(f"Port {_PORT} is taken, {home.port} is used instead.")
    print("Airflow is starting, which takes about half a minute ...", flush=True)
    try:
        with local_emulator(_FOLDER) as zelto, local_airflow(home) as airflow:
            _furnish(airflow, zelto)
            _serve(airflow, zelto)
    except LiveError as error:
        print(f"\nui failed: {error}\nLogs are kept in {home.logs}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.")
    return 0


def _furnish(airflow: LocalAirflow, zelto: LocalEmulator) -> None:
    """Make the connections and the pool of the examples, and the call that example_zelto takes by default."""
    for conn_id, connection in zelto.connections.items():
        airflow.api.add_connection(conn_id, connection)
    airflow.api.add_pool("zelto", slots=4)  # for example_sharded_submit
    airflow.wait_for_dag("example_zelto")
    call_id = airflow.api.param_default("example_zelto", "conversation_id")
    zelto.ask("POST", "conversations", {"id": call_id})
    # Any other call that a person makes up is a good one too.
    zelto.ask("PATCH", "settings", {"any_conversation": True})


def _serve(airflow: LocalAirflow, zelto: LocalEmulator) -> None:
    print(
        f"\n  Airflow  {airflow.home.url}/dags/example_zelto\n"
        f"  Zelto    {zelto.url}/\n\n"
        f"Trigger example_zelto in Airflow and see its metric appear in Zelto. Ctrl-C ends both.",
        flush=True,
    )
    while True:
        zelto.process.check()
        airflow.check()
        time.sleep(1)


if __name__ == "__main__":
    sys.exit(main())
