"""A mapped bulk submit on two workers: every row once, a share for each worker, and one rate for both."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import Counter
from datetime import datetime
from typing import Any

import pytest
from celery import Celery

from example_dags.example_sharded_submit import POOL, REQUESTS_PER_SECOND, SHARDS_AT_ONCE
from tests.e2e_distributed.conftest import WORKERS, Cluster
from tests.live.processes import wait_until

DAG = "example_sharded_submit"
ROWS = 20_000
SHARDS = 8
CALLS = 50
# Seconds: on a busy machine requests arrive in bunches, which is not the rate that they were sent at.
WINDOW = 5


@pytest.fixture(scope="module")
def posts(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Run the example once, and give the requests that Zelto saw."""
    wait_until(lambda: len(tasks_done(cluster)) == len(WORKERS), what="The start of the workers", timeout=60)
    cluster.airflow.api.add_pool(POOL, SHARDS_AT_ONCE)
    cluster.airflow.wait_for_dag(DAG)
    conf = {
        "folder": tmp_path_factory.mktemp("shards").as_uri(),
        "conversation_ids": [cluster.zelto.ask("POST", "conversations")["id"] for _ in range(CALLS)],
        "rows": ROWS,
        "shards": SHARDS,
    }
    run_id = cluster.airflow.api.trigger(DAG, conf)
    states = dict(cluster.airflow.api.follow(DAG, run_id, timeout=600))
    assert set(states.values()) == {"success"}, states
    assert cluster.airflow.api.xcom(DAG, run_id, "count") == ROWS
    journal: list[dict[str, Any]] = cluster.zelto.ask("GET", "journal?method=POST")["entries"]
    return journal


def tasks_done(cluster: Cluster) -> dict[str, int]:
    """Ask the workers how many tasks each has taken."""
    stats = Celery(broker=cluster.broker).control.inspect(timeout=2).stats() or {}
    return {name: sum(worker["total"].values()) for name, worker in stats.items()}


def test_every_row_was_sent_once_and_is_stored_as_it_was_sent(
    cluster: Cluster, posts: list[dict[str, Any]]
) -> None:
    sent = {(post["path"], post["body"]["label"]): post["body"]["score"] for post in posts}
    assert len(posts) == len(sent) == ROWS
    assert Counter(post["status"] for post in posts).keys() <= {200, 201}
    stored = {
        (f"/v1/conversations/{call['id']}/customer-metrics", metric["label"]): metric["score"]
        for call in cluster.zelto.ask("GET", "conversations")["conversations"]
        for metric in cluster.zelto.ask("GET", f"conversations/{call['id']}")["metrics"]
    }
    assert stored == sent


@pytest.mark.usefixtures("posts")
def test_both_workers_took_part(cluster: Cluster) -> None:
    done = tasks_done(cluster)
    print(json.dumps(done))
    assert len(done) == len(WORKERS)
    # The shards, the task before them and the one behind.
    assert sum(done.values()) == SHARDS + 2
    assert min(done.values()) >= 2


def test_the_rate_that_the_shards_share_was_kept(posts: list[dict[str, Any]]) -> None:
    times = sorted(datetime.fromisoformat(post["at"]).timestamp() for post in posts)
    most = max(bisect_left(times, start + WINDOW) - place for place, start in enumerate(times)) / WINDOW
    print(f"{len(times)} requests in {times[-1] - times[0]:.1f} s, at most {most:.0f} a second")
    assert most <= 1.05 * REQUESTS_PER_SECOND
