"""The handle for tests: an emulator in a background thread, with the control API as methods."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Literal, Unpack

from airflow_provider_zelto.emulator.app import create_app
from airflow_provider_zelto.emulator.control import DEFAULT_KEY, Control
from airflow_provider_zelto.emulator.coval_handle import CovalHandle
from airflow_provider_zelto.emulator.faults import FaultArguments, FaultSpec
from airflow_provider_zelto.emulator.journal import JournalFilter
from airflow_provider_zelto.emulator.roark_handle import RoarkHandle
from airflow_provider_zelto.emulator.server import Server, exposure_warning
from airflow_provider_zelto.emulator.settings import Settings, SettingsArguments
from airflow_provider_zelto.emulator.zelto_metrics import OthersMetric
from airflow_provider_zelto.emulator.zelto_state import NewConversation


class Emulator:
    """
    A local Zelto, Roark and Coval to point a DAG at, for the length of a ``with`` block.

    Calls and metrics are Zelto's here; :attr:`roark` and :attr:`coval` have their own. Wrong arguments of any
    method raise ``ValueError``, a call that does not exist ``LookupError``.

    :param host: address to listen on; default ``127.0.0.1``, and anything but a loopback address warns.
    :param port: TCP port; default 0, which takes a free one and keeps it over a stop and a start.
    :param api_keys: the API key that is accepted, or several; default ``zelto-emulator-key``.
    :param settings: start settings, the same as those of :meth:`settings`.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        api_keys: str | Sequence[str] = DEFAULT_KEY,
        **settings: Unpack[SettingsArguments],
    ) -> None:
        keys = [api_keys] if isinstance(api_keys, str) else list(api_keys)
        self._control = Control(keys, Settings.model_validate(settings))
        self._server = Server(create_app(self._control), host, port)
        self._keys = keys
        if warning := exposure_warning(host):
            warnings.warn(warning, stacklevel=2)

    def __enter__(self) -> Emulator:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Return the base URL, such as ``http://127.0.0.1:40123``; the port is known once started."""
        return self._server.url

    @property
    def api_key(self) -> str:
        """Return an API key that is accepted: the first one given."""
        return self._keys[0]

    @property
    def roark(self) -> RoarkHandle:
        """Return the handle for Roark's chats and their metric values."""
        return RoarkHandle(self._control.roark)

    @property
    def coval(self) -> CovalHandle:
        """Return the handle for Coval's conversations and their metric outputs."""
        return CovalHandle(self._control.coval)

    def start(self) -> None:
        """Serve until :meth:`stop`; raises ``OSError`` when the port is taken."""
        self._server.start()

    def stop(self) -> None:
        """Close the port and every connection; calls, faults and journal stay for the next :meth:`start`."""
        self._server.stop()

    def connection_json(self, service: str = "zelto") -> str:
        """
        Return the JSON of an Airflow connection to a service, fit for ``AIRFLOW_CONN_ZELTO_DEFAULT``.

        :param service: the connection type: ``zelto``, ``roark`` or ``coval``.
        """
        host = self.url + self._control.prefix(service)
        return json.dumps({"conn_type": service, "host": host, "password": self.api_key})

    def add_conversation(
        self,
        conversation_id: str | None = None,
        *,
        agent_id: str | None = None,
        available_after: float = 0.0,
    ) -> str:
        """
        Add a call and return its id.

        :param conversation_id: UUID of the call; default a random one.
        :param agent_id: UUID of the call's agent; default a random one.
        :param available_after: seconds, 0 or more, until the API stops answering 404 for the call.
        """
        new = NewConversation(id=conversation_id, agent_id=agent_id, available_after=available_after)
        call_id: str = self._control.zelto.add_call(new)["id"]
        return call_id

    def conversations(self) -> list[dict[str, Any]]:
        """Return every call with its metrics, oldest first."""
        return list(self._control.zelto.calls())

    def add_metric(
        self,
        conversation_id: str,
        label: str,
        *,
        verdict: Literal["pass", "fail"] | None = None,
        score: float | None = None,
        note: str | None = None,
        metric_id: str | None = None,
        external_id: str | None = None,
        source: str = "api",
        after: float = 0.0,
    ) -> None:
        """
        Let a customer metric appear as if somebody else had submitted it.

        :param conversation_id: UUID of the call.
        :param label: name of the metric, 1 to 255 characters; the same label replaces a metric.
        :param verdict: ``pass`` or ``fail``; this or ``score`` is needed.
        :param score: 0 to 100; this or ``verdict`` is needed.
        :param note: at most 5000 characters.
        :param metric_id: UUID of the Zelto metric it maps to.
        :param external_id: at most 255 characters.
        :param source: provenance of the record; default ``api``.
        :param after: seconds, 0 or more, until it appears; default at once.
        """
        given = {
            "label": label,
            "verdict": verdict,
            "score": score,
            "note": note,
            "metric_id": metric_id,
            "external_id": external_id,
        }
        fields = {name: value for name, value in given.items() if value is not None}
        metric = OthersMetric.model_validate({**fields, "source": source, "after": after})
        self._control.zelto.add_metric(conversation_id, metric)

    def metrics(self, conversation_id: str) -> list[dict[str, Any]]:
        """
        Return the metrics of one call as the API lists them.

        :param conversation_id: UUID of the call.
        """
        return self._control.zelto.metrics(conversation_id)

    def fault(self, **fault: Unpack[FaultArguments]) -> int:
        """
        Let a fault stand until it is cleared and return its id, which the journal names.

        :param fault: what happens (``status``, ``retry_after``, ``headers``, ``body``, ``delay``, ``action``,
            ``when``), how often (``count``, ``share`` with ``seed``, or ``every``; default each time) and to
            which requests (``service``, ``method``, ``path``; default all), as in the control API.
        """
        number: int = self._control.add_fault(FaultSpec.model_validate(fault))["id"]
        return number

    def faults(self) -> list[dict[str, Any]]:
        """Return the faults that stand, with how many requests they saw and struck."""
        return self._control.faults.as_json()

    def clear_faults(self) -> None:
        """Remove every fault."""
        self._control.faults.clear()

    def settings(self, **changes: Unpack[SettingsArguments]) -> dict[str, Any]:
        """
        Change some settings and return all of them.

        :param changes: ``metrics_enabled`` (False answers 403), ``metric_ids`` (the ``metricId`` values that
            are accepted; None for any), ``any_conversation`` (every id of the right form is a call),
            ``latency`` (seconds before each answer), ``nulls`` (``null`` or ``absent``: how answers show a
            missing value) and ``repeat_page_token`` (True: Coval's pages never end).
        """
        return self._control.settings.change(dict(changes)).model_dump()

    def journal(
        self,
        *,
        service: str | None = None,
        method: str | None = None,
        path: str | None = None,
        status: int | None = None,
        since: int | datetime | None = None,
        limit: int | None = None,
    ) -> list[dict[str, Any]]:
        """
        Return the requests to the services, oldest first.

        :param service: only requests to this service.
        :param method: only this HTTP method.
        :param path: only paths that contain this text.
        :param status: only answers with this status.
        :param since: only entries after this number ``n``, or from this moment on.
        :param limit: at most so many entries.
        """
        wanted = JournalFilter(
            service=service, method=method, path=path, status=status, since=since, limit=limit
        )
        return list(self._control.journal.read(wanted))

    def clear_journal(self) -> None:
        """Forget every journal entry."""
        self._control.journal.clear()

    def reset(self) -> None:
        """Go back to the start: no calls, no faults, an empty journal, the settings of the start."""
        self._control.reset()
