"""The ASGI application: services on the wire, the control API and the page beside them."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from airflow_provider_zelto.emulator.control import Control
from airflow_provider_zelto.emulator.control_api import ERROR_HANDLERS, ControlAPI
from airflow_provider_zelto.emulator.page import Page


def create_app(control: Control) -> ASGIApp:
    """Return the emulator as an ASGI application."""
    own = Starlette(
        routes=[*Page(control).routes(), ControlAPI(control).routes()], exception_handlers=ERROR_HANDLERS
    )
    services = {service.prefix: service for service in control.apps}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        if path == "/" or path.startswith("/_emulator"):
            await own(scope, receive, send)
            return
        # Past Starlette: a service takes every path and method, and load tests count each microsecond.
        # Zelto is at the root, and takes what no other service claims.
        service = services.get(path[: path.find("/", 1)], services[""])
        await service(scope, receive, send)

    return app
