"""A worker that submits one file and keeps its progress in another."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any

from airflow_provider_zelto import batch_run
from airflow_provider_zelto.operators.zelto import BulkSubmitCustomerMetricsOperator


class FileStore:
    """Keeps values as Airflow's store does: from one worker of a task to the next."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, key: str, default: Any = None) -> Any:
        return json.loads(self._path.read_text()).get(key, default) if self._path.exists() else default

    def set(self, key: str, value: Any) -> None:
        # Put in its place at once: a worker may be killed at any moment.
        draft = self._path.with_suffix(".part")
        draft.write_text(json.dumps({key: value}))
        draft.replace(self._path)

    def delete(self, key: str) -> None:
        self._path.unlink(missing_ok=True)


def main(rows: str, state: str) -> None:
    batch_run.SECONDS_BETWEEN_REPORTS = 0.1
    submit = BulkSubmitCustomerMetricsOperator(task_id="bulk", metrics=rows, concurrency=8)
    signal.signal(signal.SIGTERM, lambda *_: submit.on_kill())  # as Airflow's task runner does
    print(json.dumps(submit.execute({"task_state_store": FileStore(Path(state))})))


if __name__ == "__main__":
    main(*sys.argv[1:])
