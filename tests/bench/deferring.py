"""
Sensors deferred as workers defer them, many in one process.

Each is a task instance of a real run. Airflow's own task runner executes the sensor, which asks once and
defers, and Airflow's own API for tasks stores the trigger. What is saved is a process for each, and parsing
the DAG file in it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any
from uuid import UUID

from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db
from airflow.models.dagbag import DBDagBag
from airflow.models.taskinstance import TaskInstance
from airflow.models.trigger import Trigger
from airflow.sdk.api.datamodels._generated import TaskInstance as TaskToRun
from airflow.sdk.execution_time.supervisor import InProcessTestSupervisor, run_task_in_process
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState
from airflow.utils.types import DagRunTriggeredByType, DagRunType
from pendulum import now
from sqlalchemy import func, select, update

_FILE = Path(__file__).with_name("dags") / "many_waits.py"
_BUNDLE = "dags-folder"


def defer_until(dag_id: str, number: int) -> int:
    """Defer as many of the DAG's tasks as make this number, take all from their triggerer, and count them."""
    bag = BundleDagBag(dag_folder=_FILE, bundle_path=_FILE.parent, bundle_name=_BUNDLE)
    if bag.import_errors:
        raise RuntimeError(bag.import_errors)
    with create_session() as session:
        DagBundlesManager().sync_bundles_to_db(session=session)
    sync_bag_to_db(bag, _BUNDLE, None)
    dag = bag.dags[dag_id]
    client = InProcessTestSupervisor._api_client(dag)
    for task in _new_tasks(dag_id, range(_deferred(dag_id), number)):
        result = run_task_in_process(task, dag.get_task(task.task_id), client)
        if result.state != TaskInstanceState.DEFERRED:
            raise RuntimeError(f"{task.run_id} was not deferred: {result.state}") from result.error
    with create_session() as session:
        session.execute(update(Trigger).values(triggerer_id=None))
    return _deferred(dag_id)


def _new_tasks(dag_id: str, numbers: range) -> list[TaskToRun]:
    """Make a run for each number, and give their tasks as a worker gets them."""
    names = ("id", "task_id", "dag_id", "run_id", "try_number", "map_index", "dag_version_id")
    with create_session() as session:
        dag = DBDagBag().get_latest_version_of_dag(dag_id, session=session)
        if dag is None:
            raise RuntimeError(f"Airflow has not stored {dag_id}.")
        runs = [
            dag.create_dagrun(
                run_id=str(UUID(int=number)),
                run_after=now("UTC"),
                run_type=DagRunType.MANUAL,
                triggered_by=DagRunTriggeredByType.TEST,
                state=DagRunState.RUNNING,
                session=session,
            )
            for number in numbers
        ]
        instances: list[Any] = [one for run in runs for one in run.get_task_instances(session=session)]
        for one in instances:
            # As a scheduler does.
            one.state = TaskInstanceState.QUEUED
            one.try_number += 1
        return [TaskToRun(**{name: getattr(one, name) for name in names}) for one in instances]


def _deferred(dag_id: str) -> int:
    with create_session() as session:
        is_deferred = (TaskInstance.dag_id == dag_id, TaskInstance.state == TaskInstanceState.DEFERRED)
        return session.scalar(select(func.count(TaskInstance.id)).where(*is_deferred)) or 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dag-id", required=True)
    parser.add_argument("--until", type=int, required=True, help="how many are to be deferred in the end")
    options = parser.parse_args()
    print(json.dumps(defer_until(options.dag_id, options.until)))


if __name__ == "__main__":
    main()
