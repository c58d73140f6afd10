"""The handle for a test's Roark: its chats and their metric values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_zelto.emulator.roark_state import NewChat, RoarkState
from airflow_provider_zelto.emulator.roark_values import (
    CaptureStatus,
    MetricType,
    NewMetricValue,
    ParticipantRole,
    Scope,
)


class RoarkHandle:
    """
    A local Roark: :attr:`Emulator.roark <airflow_provider_zelto.emulator.handle.Emulator.roark>`.

    Wrong arguments of any method raise ``ValueError``, a chat that does not exist ``LookupError``.
    """

    def __init__(self, state: RoarkState) -> None:
        self._state = state

    def add_chat(self, chat_id: str | None = None, *, available_after: float = 0.0) -> str:
        """
        Add a chat and return its id.

        :param chat_id: 1 to 64 letters, digits, ``-`` and ``_``; default a random UUID.
        :param available_after: seconds, 0 or more, until the API stops answering 404 for the chat.
        """
        added: str = self._state.add_call(NewChat(id=chat_id, available_after=available_after))["id"]
        return added

    def chats(self) -> list[dict[str, Any]]:
        """Return every chat with its metrics of every status, oldest first."""
        return list(self._state.calls())

    def add_metric_value(
        self,
        chat_id: str,
        slug: str,
        value: float | bool | str | None = None,
        *,
        capture_status: CaptureStatus = "SUCCESS",
        value_reasoning: str | None = None,
        confidence: float | None = None,
        error_message: str | None = None,
        participant_role: ParticipantRole | None = None,
        policy_ids: list[str] | None = None,
        segment: Mapping[str, Any] | None = None,
        from_segment: Mapping[str, Any] | None = None,
        to_segment: Mapping[str, Any] | None = None,
        name: str | None = None,
        description: str | None = None,
        type: MetricType | None = None,
        scope: Scope | None = None,
        unit: Mapping[str, Any] | None = None,
        after: float = 0.0,
    ) -> None:
        """
        Let a metric value appear; a metric holds as many as are added for its slug.

        :param chat_id: id of the chat.
        :param slug: the metric's slug, 1 to 255 characters.
        :param value: number, bool or text; leave it out with any ``capture_status`` but ``SUCCESS``.
        :param capture_status: ``SUCCESS``, ``NOT_APPLICABLE``, ``DATA_MISSING`` or ``ERROR``.
        :param value_reasoning: why the value is what it is.
        :param confidence: 0 to 1; default 1 with ``SUCCESS``.
        :param error_message: what went wrong, with ``ERROR``.
        :param participant_role: ``agent`` or ``customer``, for a metric that has a value for each.
        :param policy_ids: UUIDs of the metric policies behind the value.
        :param segment: what piece of the transcript it is of, as Roark writes one: ``text``,
            ``startOffsetMs``, ``endOffsetMs`` and ``id`` (default a random UUID).
        :param from_segment: the first segment, for a value across several.
        :param to_segment: the last segment, for a value across several.
        :param name: the metric's name; default made of the slug.
        :param description: what the metric measures; default its name.
        :param type: ``COUNT``, ``NUMERIC``, ``BOOLEAN``, ``SCALE``, ``TEXT``, ``CLASSIFICATION`` or
            ``OFFSET``; default guessed from its values.
        :param scope: ``GLOBAL`` or ``PER_PARTICIPANT``; default guessed from its values.
        :param unit: ``name`` and ``symbol``.
        :param after: seconds, 0 or more, until it is computed: before that, Roark shows nothing of it.
        """
        given = {
            "slug": slug,
            "value": value,
            "capture_status": capture_status,
            "value_reasoning": value_reasoning,
            "confidence": confidence,
            "error_message": error_message,
            "participant_role": participant_role,
            "policy_ids": policy_ids,
            "segment": segment,
            "from_segment": from_segment,
            "to_segment": to_segment,
            "name": name,
            "description": description,
            "type": type,
            "scope": scope,
            "unit": unit,
            "after": after,
        }
        self._state.add_metric(chat_id, NewMetricValue.model_validate(given))
