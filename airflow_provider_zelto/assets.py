"""Calls as Airflow assets: their URI, and telling Airflow which calls a task has changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_zelto.arguments import uuid

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    from airflow.providers.common.compat.openlineage.facet import Dataset as OpenLineageDataset
    from airflow.providers.common.compat.sdk import Asset, BaseHook, Context

_PREFIX = "zelto://conversations/"

#: How many calls of a batch are told to Airflow: each becomes a row of its database, and a node in its graph.
MAX_REPORTED_CALLS = 100


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """
    Bring an asset's URI into the one form that a call has: ``zelto://conversations/<UUID in lower case>``.

    :raises ValueError: when it is no such URI.
    """
    try:
        if uri.netloc.lower() != "conversations" or uri.query:
            raise ValueError
        return uri._replace(netloc="conversations", path=f"/{uuid(uri.path.removeprefix('/'))}")
    except ValueError:
        raise ValueError(f"{uri.geturl()!r} is not {_PREFIX}<UUID of the call>") from None


def call_asset(conversation_id: str, **options: Any) -> Asset:
    """
    Make the asset of a call, a Dataset on Airflow 2: name and URI are ``zelto://conversations/<UUID>``.

    Two assets are the same only with the same name, so that this beats writing the URI by hand.

    :param conversation_id: UUID of the call, in any spelling.
    :param options: what else Airflow's ``Asset`` takes: ``watchers``, ``extra``, ``group``.
    :raises ValueError: when ``conversation_id`` is no UUID.
    """
    from airflow.providers.common.compat.sdk import Asset

    return Asset(uri=_PREFIX + uuid(conversation_id), **options)


def to_openlineage(asset: Asset, lineage_context: Any) -> OpenLineageDataset:
    """Give a call's asset as a dataset of OpenLineage; called only where that is installed."""
    from airflow.providers.common.compat.openlineage.facet import Dataset as OpenLineageDataset

    return OpenLineageDataset(namespace="zelto", name=f"conversations/{asset.uri.removeprefix(_PREFIX)}")


def report_lineage(hook: BaseHook, conversation_id: str) -> None:
    """Tell Airflow's lineage that a hook has written to a call; nothing happens where nobody listens."""
    from airflow.providers.common.compat.lineage.hook import get_hook_lineage_collector

    get_hook_lineage_collector().add_output_asset(context=hook, uri=_PREFIX + conversation_id)


def report_events(
    context: Context, outlets: Iterable[Any], changed: Mapping[str, Sequence[Mapping[str, Any]]]
) -> None:
    """
    Let a task's asset events say which calls it changed.

    An AssetAlias among the outlets gets an event for each metric, with its details. The asset of a call that
    is an outlet itself has one event from Airflow anyway, which gets the details of a single metric.

    :param context: the context of the task.
    :param outlets: the outlets of the task.
    :param changed: for each call the metrics stored; none where there are too many to tell, which makes one
        event without details.
    """
    from airflow.providers.common.compat.sdk import AssetAlias

    events: Any = context.get("outlet_events")
    for outlet in outlets if events is not None else ():
        for call, metrics in changed.items():
            details = list(map(_details, metrics)) or [{}]
            if isinstance(outlet, AssetAlias):
                for extra in details:
                    events[outlet].add(call_asset(call), extra=extra)
            elif getattr(outlet, "uri", None) == _PREFIX + call and len(details) == 1:
                events[outlet].extra.update(details[0])


def _details(metric: Mapping[str, Any]) -> dict[str, Any]:
    # Never the note: it may be long, and whoever sees assets sees their events. Flat: Airflow 2 hashes them.
    return {name: metric.get(name) for name in ("label", "verdict", "score", "updatedAt")}
