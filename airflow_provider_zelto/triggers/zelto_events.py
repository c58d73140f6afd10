"""Zelto's trigger for asset watchers: a DAG runs when a call's metrics appear or change."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Hashable, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from airflow import __version__ as airflow_version
from airflow.providers.common.compat.sdk import AirflowException, AirflowOptionalProviderFeatureException
from airflow.providers.common.compat.triggers import BaseEventTrigger
from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_zelto.changes import MetricsWatch, SeenMetrics
from airflow_provider_zelto.conditions import MAX_CONSECUTIVE_FAILURES, Failures
from airflow_provider_zelto.exceptions import APIError, NotFoundError
from airflow_provider_zelto.hooks.zelto import ZeltoHook

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from airflow_provider_zelto.models import CustomerMetric

#: Seconds until it is asked again after too many failures, or one that asking again does not mend.
PAUSE_AFTER_GIVING_UP = 300.0
#: Seconds in which the triggerer stores an event: what was seen is remembered after them, so that a triggerer
#: that dies in between fires the event again rather than never.
SECONDS_TO_STORE_AN_EVENT = 5.0

_log = logging.getLogger(__name__)


class CustomerMetricsEventTrigger(BaseEventTrigger):
    """
    Fire an asset's event whenever metrics of a call appear or change. For ``AssetWatcher``, on Airflow 3.

    A metric that is submitted again has changed, with the same values too. Each change is one event, with
    ``{"conversation_id": ..., "metrics": [the changed metrics as Zelto stores them]}`` as its payload, which
    is ``extra["payload"]`` of the asset event. What is there at the first look is not new, unless
    ``updated_after`` says from when on metrics count.

    On Airflow 3.3 and newer it remembers in the asset's state store what it has seen, so that a change while
    no triggerer runs is not missed, and watchers of the same call share one poll. Before that, each start of
    a triggerer is a first look.

    Nothing ends it: passing failures lengthen the pause, and after a refused key, or too many failures in a
    row, it reads the connection anew and asks again five minutes later. API page: "List a call's customer
    metrics".

    :param conversation_id: UUID of the call.
    :param labels: list of labels to watch. Default: all.
    :param updated_after: only metrics whose ``updatedAt`` is this time or later fire, at the first look too:
        an aware datetime or ISO 8601 text, UTC where it has no offset. Default: what comes after the first
        look.
    :param zelto_conn_id: id of the connection. Default: ``zelto_default``.
    :param poke_interval: seconds between two questions, above 0. Default: 60.
    :raises InvalidMetricError: when an argument breaks a limit.
    :raises AirflowOptionalProviderFeatureException: on Airflow 2, which has no asset watchers.
    """

    def __init__(
        self,
        *,
        conversation_id: str,
        labels: Sequence[str] | None = None,
        updated_after: datetime | str | None = None,
        zelto_conn_id: str = ZeltoHook.default_conn_name,
        poke_interval: float = 60,
    ) -> None:
        if BaseEventTrigger is BaseTrigger:  # what stands in for it on Airflow 2
            raise AirflowOptionalProviderFeatureException(
                f"CustomerMetricsEventTrigger needs Airflow 3.0 or newer, this is {airflow_version}. Without "
                "asset watchers, let a DAG with CustomerMetricsSensor wait for the metrics."
            )
        super().__init__()  # type: ignore[no-untyped-call]
        self.zelto_conn_id = zelto_conn_id
        self.watch = MetricsWatch.check(
            {
                "conversation_id": conversation_id,
                "labels": labels,
                "updated_after": updated_after,
                "poke_interval": poke_interval,
            }
        )

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Give what Airflow stores to make this trigger again."""
        path = f"{type(self).__module__}.{type(self).__qualname__}"
        return path, {**self.watch.to_json(), "zelto_conn_id": self.zelto_conn_id}

    def shared_stream_key(self) -> Hashable:
        """Name the poll that this trigger shares: that of the same call, as often, by the same connection."""
        watch = self.watch
        return type(self).__qualname__, self.zelto_conn_id, watch.conversation_id, watch.poke_interval

    @classmethod
    async def open_shared_stream(cls, kwargs: dict[str, Any]) -> AsyncIterator[list[CustomerMetric]]:
        """Give the call's metrics again and again, all of them each time."""
        trigger = cls(**kwargs)
        interval = trigger.watch.poke_interval
        failures = Failures(limit=MAX_CONSECUTIVE_FAILURES, poke_interval=interval)
        while True:
            # After giving up a new hook reads the connection anew: it may have been mended.
            async with ZeltoHook(trigger.zelto_conn_id) as hook:
                pause: float | None = interval
                while pause is not None:
                    metrics, pause = await _ask(hook, trigger.watch.conversation_id, failures)
                    if metrics is not None:
                        yield metrics
                    await asyncio.sleep(pause or 0)
            failures.forget()
            await asyncio.sleep(max(interval, PAUSE_AFTER_GIVING_UP))

    async def filter_shared_stream(
        self, shared_stream: AsyncIterator[list[CustomerMetric]]
    ) -> AsyncIterator[TriggerEvent]:
        """Fire for the metrics that are new or changed since the last look."""
        seen = SeenMetrics(self.watch, await self._recall())
        async for metrics in shared_stream:
            before = None if seen.marks is None else dict(seen.marks)
            if changed := seen.changes(metrics):
                yield TriggerEvent({"conversation_id": self.watch.conversation_id, "metrics": changed})
            if seen.marks != before and self._store is not None:
                await asyncio.sleep(SECONDS_TO_STORE_AN_EVENT if changed else 0)
                await self._remember(seen)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Fire for each change, without sharing the poll: what Airflow before 3.3 calls."""
        _, kwargs = self.serialize()
        stream = cast("AsyncGenerator[list[CustomerMetric], None]", self.open_shared_stream(kwargs))
        async with aclosing(stream):
            async for event in self.filter_shared_stream(stream):
                yield event

    @property
    def _store(self) -> Any:
        return getattr(self, "asset_state_store", None)  # Airflow 3.3 brought it

    async def _recall(self) -> dict[str, str] | None:
        while self._store is not None:
            try:
                return cast("dict[str, str] | None", await self._store.aget(self.watch.name()))
            except ValueError as error:
                self.log.warning("What was seen is forgotten when the triggerer restarts: %s", error)
                self.asset_state_store = None
            except Exception:  # a first look in its place would miss what came while no triggerer ran
                self.log.exception("What was seen earlier cannot be read. Trying again.")
                await asyncio.sleep(self.watch.poke_interval)
        return None

    async def _remember(self, seen: SeenMetrics) -> None:
        try:
            await self._store.aset(self.watch.name(), seen.marks)
        except Exception:  # the next change stores all of it again
            self.log.exception("What was seen cannot be stored.")


async def _ask(
    hook: ZeltoHook, conversation_id: str, failures: Failures
) -> tuple[list[CustomerMetric] | None, float | None]:
    """Ask once; give the answer, if any, and how long to wait before asking again, if that is any use."""
    try:
        metrics = await hook.alist_customer_metrics(conversation_id)
    except APIError as error:
        # It refers to this frame, which refers to it: see AsyncAPIClient.send about garbage.
        error.__traceback__ = None
        words, pause = str(error), failures.pause_after(error)
        if isinstance(error, NotFoundError) and error.is_documented:
            _log.info("%s Asking again in %.1f s.", words, pause)
            return [], pause
    except Exception as error:  # raised, it would only start the trigger again, and at once
        # The words of others may hold parts of a connection.
        words, pause = str(error) if isinstance(error, AirflowException) else type(error).__name__, None
    else:
        failures.forget()
        return metrics, failures.poke_interval
    _log.warning("%s Asking again in %.1f s.", words, PAUSE_AFTER_GIVING_UP if pause is None else pause)
    return None, pause
