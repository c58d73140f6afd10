"""What the hooks of all services share: the connection, its form, and the two clients."""

from __future__ import annotations

import asyncio
import weakref
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ClassVar, Self

from airflow.providers.common.compat.connection import get_async_connection, get_async_extra_dejson
from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

from airflow_provider_zelto.api_client import APIClient, AsyncAPIClient
from airflow_provider_zelto.api_request import APIRequest, ClientSettings, RetryPolicy
from airflow_provider_zelto.connection import client_settings
from airflow_provider_zelto.exceptions import (
    APIError,
    AuthenticationError,
    InvalidConnectionError,
    NotFoundError,
    PermissionDeniedError,
)
from airflow_provider_zelto.get_provider_info import connection_type_info
from airflow_provider_zelto.services import Service


class APIHook(BaseHook):
    """
    Base of the hooks: reads the connection when it is first needed and keeps one pooled client until closed.

    :param conn_id: id of the Airflow connection.
    """

    conn_name_attr: ClassVar[str]
    conn_type: ClassVar[str]
    service: ClassVar[Service]

    def __init__(self, conn_id: str) -> None:
        super().__init__()
        self._conn_id = conn_id
        self._client: APIClient | None = None
        self._async_client: AsyncAPIClient | None = None

    @classmethod
    def of(cls, owner: object) -> Self:
        """
        Make the hook for the connection that a task or a trigger names.

        :param owner: has the connection's id in the attribute that is named as the hook's argument.
        """
        return cls(getattr(owner, cls.conn_name_attr))

    def get_settings(self) -> ClientSettings:
        """
        Read the connection.

        :raises InvalidConnectionError: naming the connection, the field and the limit.
        """
        connection = self.get_connection(self._conn_id)
        return client_settings(self.service, connection, connection.extra_dejson)

    def get_conn(self) -> APIClient:
        """Give the pooled client, made on first use."""
        if self._client is None:
            settings = self.get_settings()
            with self._naming_connection():
                self._client = APIClient(settings)
            self._close_client = weakref.finalize(self, self._client.close)
        return self._client

    async def aget_conn(self) -> AsyncAPIClient:
        """Give the client that the running event loop shares for this connection, taken on first use."""
        loop = asyncio.get_running_loop()
        if self._async_client is None or self._async_client.loop is not loop:
            connection = await get_async_connection(self._conn_id, hook=self)
            extra = await get_async_extra_dejson(connection)
            settings = client_settings(self.service, connection, extra)
            with self._naming_connection():
                client = await AsyncAPIClient.shared(settings)
            if self._async_client is not None and self._async_client.loop is loop:
                await client.aclose()  # another coroutine of this hook was faster
            else:
                self._async_client = client
                self._leave_async_client = weakref.finalize(self, client.close_soon)
        return self._async_client

    @abstractmethod
    def probe(self) -> APIRequest[Any]:
        """Make the cheapest request that needs the key: nothing is found, but 404 shows the key accepted."""

    def test_connection(self) -> tuple[bool, str]:
        """
        Try the connection with one request.

        :return: whether it works, and what was found in words.
        """
        name = self.service.name
        try:
            with APIClient(replace(self.get_settings(), retry_policy=RetryPolicy(0))) as client:
                client.send(self.probe())
        except NotFoundError as error:
            if not error.is_documented:
                return False, f"No {name} there, but something else: {error}"
        except AuthenticationError:
            return False, f"{name} refused the API key."
        except PermissionDeniedError:
            return False, f"{name} accepted the API key, but {self.service.not_allowed}."
        except (APIError, InvalidConnectionError, AirflowNotFoundException) as error:
            return False, str(error)
        return True, f"{name} accepted the API key."

    @contextmanager
    def _naming_connection(self) -> Iterator[None]:
        try:
            yield
        except InvalidConnectionError as error:
            raise InvalidConnectionError(f"Connection {self._conn_id!r}: {error}") from None

    def close(self) -> None:
        """Close the pooled connections; the hook opens new ones when it is used again."""
        if self._client is not None:
            self._client = None
            self._close_client()

    async def aclose(self) -> None:
        """Do the same for the asynchronous methods."""
        if self._async_client is not None:
            client, self._async_client = self._async_client, None
            self._leave_async_client.detach()
            await client.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.aclose()


def ui_field_behaviour(hook_class: type[APIHook]) -> dict[str, Any]:
    """Give a hook's form to Airflow before 3.2, which asks the hook instead of the provider's info."""
    behaviour = connection_type_info(hook_class.conn_type)["ui-field-behaviour"]
    return {name.replace("-", "_"): value for name, value in behaviour.items()}


def connection_form_widgets(hook_class: type[APIHook]) -> dict[str, Any]:
    """Give the form's fields for the extra to Airflow before 3.2, made from the same declaration."""
    from flask_appbuilder.fieldwidgets import BS3TextFieldWidget
    from wtforms import IntegerField, StringField
    from wtforms.validators import Optional

    return {
        name: (IntegerField if "integer" in declared["schema"]["type"] else StringField)(
            declared["label"],
            description=declared["description"],
            widget=BS3TextFieldWidget(),
            validators=[Optional()],
        )
        for name, declared in connection_type_info(hook_class.conn_type)["conn-fields"].items()
    }
