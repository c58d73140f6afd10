"""The link from a task in Airflow's UI to its call in Zelto."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, cast

from airflow.providers.common.compat.sdk import BaseHook, BaseOperatorLink

from airflow_provider_zelto.arguments import is_templated
from airflow_provider_zelto.connection import call_url
from airflow_provider_zelto.exceptions import InvalidConnectionError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator, TaskInstanceKey

_log = logging.getLogger(__name__)


class CallLink(BaseOperatorLink):
    """
    "Open call in Zelto", where the connection's extra has a ``call_url_template``.

    Airflow 3 makes a task's links in the worker once the task has run; Airflow 2 makes them in the webserver,
    which then needs the connection too.
    """

    name = "Open call in Zelto"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Give the address of the call, or nothing when the task names none or there is none to give."""
        try:
            fields = _rendered(operator, ti_key)
            if not all(fields.values()) or any(map(is_templated, fields.values())):
                return ""
            connection = BaseHook.get_connection(fields["zelto_conn_id"])
            return call_url(connection, fields["conversation_id"]) or ""
        except InvalidConnectionError as error:
            _log.warning("No link to the call: %s", error)
        except Exception as error:  # whatever it is, a task that did its work must not fail for a link
            # Airflow's words about a connection may hold parts of it.
            _log.warning("No link to the call (%s).", type(error).__name__)
        return ""


def _rendered(operator: BaseOperator, ti_key: TaskInstanceKey) -> dict[str, Any]:
    rendered: dict[str, Any] = {}
    if not hasattr(BaseOperatorLink, "xcom_key"):
        # The webserver of Airflow 2 has the stored task, as it was before its run, and a mapped one in part.
        from airflow.models.renderedtifields import RenderedTaskInstanceFields

        rendered = RenderedTaskInstanceFields.get_templated_fields(cast("Any", ti_key)) or {}
    names = ("conversation_id", "zelto_conn_id")
    return {name: rendered.get(name) or getattr(operator, name, None) for name in names}
