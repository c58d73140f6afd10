"""The handle for a test's Coval: its conversations and their metric outputs."""

from __future__ import annotations

from typing import Any

from airflow_provider_zelto.emulator.coval_outputs import NewMetricOutput, OutputType, Status
from airflow_provider_zelto.emulator.coval_state import CovalState, NewConversation


class CovalHandle:
    """
    A local Coval: :attr:`Emulator.coval <airflow_provider_zelto.emulator.handle.Emulator.coval>`.

    Wrong arguments of any method raise ``ValueError``, a conversation that does not exist ``LookupError``.
    """

    def __init__(self, state: CovalState) -> None:
        self._state = state

    def add_conversation(self, conversation_id: str | None = None, *, available_after: float = 0.0) -> str:
        """
        Add a conversation and return its id.

        :param conversation_id: 22 to 26 letters and digits; default 22 random ones.
        :param available_after: seconds, 0 or more, until the API stops answering 404 for the conversation.
        """
        new = NewConversation(id=conversation_id, available_after=available_after)
        added: str = self._state.add_call(new)["id"]
        return added

    def conversations(self) -> list[dict[str, Any]]:
        """Return every conversation with its metric outputs, oldest first."""
        return list(self._state.calls())

    def add_metric_output(
        self,
        conversation_id: str,
        value: float | str | list[str] | None = None,
        *,
        metric_id: str | None = None,
        metric_name: str | None = None,
        output_type: OutputType | None = None,
        status: Status = "COMPLETED",
        status_reason: str | None = None,
        explanation: str | None = None,
        after: float = 0.0,
        start_after: float | None = None,
        ready_after: float | None = None,
    ) -> dict[str, str]:
        """
        Let a metric output appear; return its ``metric_output_id``, its ``metric_id`` and ``appears_at``.

        Times are seconds from now, 0 or more, and must not fall from one to the next. An output is there
        ``after`` so many, ``IN QUEUE`` until ``start_after``, and ``IN PROGRESS`` until ``ready_after``, when
        it gets its status and its value.

        :param conversation_id: id of the conversation.
        :param value: number, text or a list of texts; only with status ``COMPLETED``.
        :param metric_id: id of the metric, 22 to 26 letters and digits; default that of the metric of that
            name, else a random one.
        :param metric_name: the metric's name, 1 to 255 characters, to filter and sort by; no row shows it.
            Default its id.
        :param output_type: the metric's ``float``, ``string`` or ``set``; default guessed from its values.
        :param status: ``COMPLETED``, ``SKIPPED``, ``FAILED`` or ``CANCELLED``; or ``IN QUEUE`` or
            ``IN PROGRESS``, for an output that is never computed.
        :param status_reason: why it has this status.
        :param explanation: why the value is what it is.
        :param after: until it is there; default at once.
        :param start_after: until its computation starts; default ``after``.
        :param ready_after: until its computation ends; default ``start_after``.
        """
        given = {
            "value": value,
            "metric_id": metric_id,
            "metric_name": metric_name,
            "output_type": output_type,
            "status": status,
            "status_reason": status_reason,
            "explanation": explanation,
            "after": after,
            "start_after": start_after,
            "ready_after": ready_after,
        }
        return self._state.add_metric(conversation_id, NewMetricOutput.model_validate(given))
