"""Reading an Airflow connection: the same settings from the form, JSON, a URI or a secrets backend."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import SplitResult, quote, urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from airflow_provider_zelto.api_request import (
    DEFAULT_MAX_RETRIES,
    DEFAULT_TIMEOUT,
    ClientSettings,
    RetryPolicy,
)
from airflow_provider_zelto.arguments import refuse, uuid
from airflow_provider_zelto.exceptions import InvalidConnectionError
from airflow_provider_zelto.secrecy import redact
from airflow_provider_zelto.services import Service

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection

_LOOPBACK = re.compile(r"localhost|127(\.\d{1,3}){3}|::1")
_NAME = re.compile(r"[0-9A-Za-z_]([0-9A-Za-z._-]*[0-9A-Za-z_])?\.?")
_HOST = re.compile(r"(https?://)?(\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._-]+)(:[^/]*)?(/[0-9A-Za-z._~/-]*)?")
_PATH = re.compile(r"[0-9A-Za-z._~/-]+")
_SECRET_FIELDS = {"proxy"}  # may hold a password


def client_settings(service: Service, connection: Connection, extra: Mapping[str, Any]) -> ClientSettings:
    """
    Read a connection.

    :param service: the service the connection is for.
    :param connection: ``host``, ``port``, ``schema`` and ``password`` are read from it.
    :param extra: its extra, decoded: ``timeout``, ``max_retries``, ``ca_bundle``, ``proxy``.
    :raises InvalidConnectionError: naming the connection, the field and the limit.
    """
    try:
        settings = ClientSettings(
            service,
            base_url=_base_url(service, connection),
            api_key=_api_key(connection.password),
            **_read_extra(extra),
        )
        if settings.proxy and not settings.uses_tls and not _is_loopback(settings.proxy):
            raise ValueError(
                "proxy in extra: it would be sent the API key in the clear; use https for the host"
            )
        return settings
    except ValueError as error:
        message = f"Connection {connection.conn_id!r}: {error}"
        key = (connection.password or "").strip()
        raise InvalidConnectionError(redact(message, key) if key else message) from None


def _api_key(password: str | None) -> str:
    # Secrets backends and clipboards like to add a line break.
    key = (password or "").strip()
    if not key:
        raise ValueError("password: the API key is missing; put it into the password field")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ValueError("password: the API key has characters that no HTTP header can carry")
    return key


def _base_url(service: Service, connection: Connection) -> str:
    host, schema, port = (
        (connection.host or "").strip(),
        (connection.schema or "").strip("/ "),
        connection.port,
    )
    if not host:
        if port or schema:
            raise ValueError(f"host: it is empty, but port {port} or schema {schema!r} is given")
        return service.base_url
    # Schema may name the scheme, as in Airflow's HTTP connections; a connection URI's path lands there too.
    scheme, prefix = (schema, "") if schema in ("http", "https") else ("https", schema)
    url = _parse_host(host, host if "://" in host else f"{scheme}://{host}")
    if prefix and not _PATH.fullmatch(prefix):
        raise ValueError(f"schema: {prefix!r} is neither http, https nor a path of plain characters")
    if ".." in (*url.path.split("/"), *prefix.split("/")):
        raise ValueError(f"host: {host!r} or schema {schema!r} has '..' in its path")
    port = _one_port(host, url.port, port)
    where = f"[{url.hostname}]" if ":" in str(url.hostname) else url.hostname
    path = "/".join(part.strip("/") for part in (url.path, prefix) if part.strip("/"))
    return f"{url.scheme}://{where}{f':{port}' if port else ''}{f'/{path}' if path else ''}"


def _parse_host(host: str, text: str) -> SplitResult:
    if "@" in host:
        # Whatever stands before it may be a secret, so the value is not shown.
        raise ValueError(
            "host: it holds a user name or password; the API key belongs into the password field"
        )
    try:
        url = urlsplit(text)
        name = url.hostname or ""
    except ValueError:
        url, name = urlsplit(""), ""
    is_name = _NAME.fullmatch(name) or ":" in name
    if url.scheme not in ("http", "https") or not is_name or not _HOST.fullmatch(host):
        raise ValueError(f"host: {host!r} is not a host name or an https:// URL without a query")
    if url.scheme == "http" and not _LOOPBACK.fullmatch(name):
        raise ValueError(
            f"host: {host!r} is plain http, which would send the API key in the clear; use https"
        )
    return _with_valid_port(host, url)


def _with_valid_port(host: str, url: SplitResult) -> SplitResult:
    try:
        valid = url.port is None or url.port > 0
    except ValueError:
        valid = False
    if not valid:
        raise ValueError(f"host: {host!r} has a port that is not a number from 1 to 65535")
    return url


def _one_port(host: str, of_host: int | None, port: int | None) -> int | None:
    if port and not 0 < port < 65536:
        raise ValueError(f"port: {port} is not a number from 1 to 65535")
    if of_host and port and of_host != port:
        raise ValueError(f"port: {port} is not the port of host {host!r}")
    return of_host or port


def _seconds(value: Any) -> Any:
    try:
        seconds = float(value)
    except (TypeError, ValueError, OverflowError):
        seconds = 0
    if isinstance(value, bool) or not 0 < seconds <= 3600:
        refuse("seconds, above 0 and at most 3600")
    return seconds


def _retries(value: Any) -> int:
    text = str(value)
    return int(text) if text.isdecimal() and int(text) <= 20 else refuse("a whole number from 0 to 20")


def _path(value: Any) -> str:
    return value if isinstance(value, str) else refuse("a path")


def _proxy(value: Any) -> str:
    try:
        url = urlsplit(str(value))
        good = url.scheme in ("http", "https") and url.hostname and url.port != 0
    except ValueError:
        good = False
    return str(value) if good else refuse("an http(s):// URL")


def _is_loopback(url: str) -> bool:
    return bool(_LOOPBACK.fullmatch(urlsplit(url).hostname or ""))


class _Extra(BaseModel):
    # Others may keep fields of their own in a connection's extra.
    model_config = ConfigDict(extra="ignore")

    timeout: Annotated[float, BeforeValidator(_seconds)] = DEFAULT_TIMEOUT
    max_retries: Annotated[int, BeforeValidator(_retries)] = DEFAULT_MAX_RETRIES
    ca_bundle: Annotated[str | None, BeforeValidator(_path)] = None
    proxy: Annotated[str | None, BeforeValidator(_proxy)] = None


def _read_extra(extra: Mapping[str, Any]) -> dict[str, Any]:
    # Forms save a field left empty as "" or null: both mean "not set".
    given = {name: value for name, value in extra.items() if value is not None and value != ""}
    try:
        options = _Extra.model_validate(given).model_dump()
    except ValidationError as error:
        raise ValueError("; ".join(map(_describe, error.errors(include_url=False)))) from None
    return {"retry_policy": RetryPolicy(options.pop("max_retries")), **options}


def _describe(problem: Any) -> str:
    name = str(problem["loc"][0])
    value = "the value" if name in _SECRET_FIELDS else repr(problem["input"])
    return f"{name} in extra: {value} is not {problem['msg']}"


_CALL_ID = "{conversation_id}"


def call_url(connection: Connection, conversation_id: str) -> str | None:
    """
    Give the address of a call in Zelto's web app, made from ``call_url_template`` in the extra.

    A template that cannot be used is no reason to refuse the connection: tasks do without it.

    :return: the address; None when the extra has no template.
    :raises InvalidConnectionError: when the template cannot be used.
    """
    template = connection.extra_dejson.get("call_url_template")
    if template is None or template == "":
        return None
    if not _is_url_template(template):
        raise InvalidConnectionError(
            f"Connection {connection.conn_id!r}: call_url_template in extra: it is not an http(s):// URL "
            f"with {_CALL_ID} in it, without a user name or password"
        )
    return str(template).replace(_CALL_ID, quote(uuid(conversation_id), safe=""))


def _is_url_template(value: Any) -> bool:
    # A link is read and clicked by people: nothing in it may be hidden from them.
    if not isinstance(value, str) or _CALL_ID not in value or not value.isprintable() or " " in value:
        return False
    try:
        url = urlsplit(value)
        known = url.scheme in ("http", "https") and url.hostname and url.port != 0
    except ValueError:
        return False
    return bool(known) and "@" not in url.netloc
