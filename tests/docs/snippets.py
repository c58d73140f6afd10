"""Code of a DAG author, as the pages on the hook and on errors show it."""

from __future__ import annotations

# [START imports]
import asyncio

from airflow.providers.common.compat.sdk import task

from airflow_provider_zelto.exceptions import NotFoundError, RateLimitError
from airflow_provider_zelto.hooks.zelto import ZeltoHook

# [END imports]


# [START copy]
@task
def copy_metrics(from_call: str, to_call: str) -> int:
    """Carry the metrics of a call over to another one, and count them."""
    with ZeltoHook() as zelto:
        metrics = zelto.list_customer_metrics(from_call)
        for metric in metrics:
            zelto.submit_customer_metric(
                to_call,
                label=metric["label"],
                verdict=metric.get("verdict"),
                score=metric.get("score"),
                note=metric.get("note"),
            )
    return len(metrics)


# [END copy]


# [START gather]
async def labels_of_calls(conversation_ids: list[str]) -> list[set[str]]:
    """Give the labels of each call, asking for all calls at the same time."""
    async with ZeltoHook() as zelto:
        answers = await asyncio.gather(*map(zelto.alist_customer_metrics, conversation_ids))
    return [{metric["label"] for metric in metrics} for metrics in answers]


# [END gather]


# [START catch]
@task
def labels_so_far(conversation_id: str) -> list[str]:
    """Give the labels of a call, none when Zelto does not know it yet."""
    try:
        with ZeltoHook() as zelto:
            return [metric["label"] for metric in zelto.list_customer_metrics(conversation_id)]
    except NotFoundError:
        return []
    except RateLimitError as error:
        print(f"{error.service} asks to wait {error.retry_after} s: {error.message}")
        raise


# [END catch]
