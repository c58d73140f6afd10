"""The control API under ``/_emulator``: what a test can do to the emulator, over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from itertools import islice
from typing import Any

from pydantic import ValidationError
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Mount, Route

from airflow_provider_zelto.emulator.bodies import InvalidInputError, explain, json_object
from airflow_provider_zelto.emulator.calls import CallStore, DuplicateCallError, UnknownCallError
from airflow_provider_zelto.emulator.control import Control
from airflow_provider_zelto.emulator.faults import FaultSpec
from airflow_provider_zelto.emulator.journal import JournalFilter

_BATCH = 500


class CallsAPI:
    """The endpoints for the calls of one service, each a line or two between JSON and its state."""

    def __init__(self, state: CallStore[Any]) -> None:
        self._state = state

    def routes(self, path: str, metrics: str) -> list[Route]:
        """Return the routes below a path, and those of a call's metrics under the name given."""
        return [
            Route(path, self.list_calls),
            Route(path, self.add_call, methods=["POST"]),
            Route(f"{path}/{{id}}", self.get_call),
            Route(f"{path}/{{id}}/{metrics}", self.add_metric, methods=["POST"]),
        ]

    async def list_calls(self, request: Request) -> Response:
        """Stream every call with its metrics."""
        return _stream(f"{self._state.noun}s", self._state.calls())

    async def add_call(self, request: Request) -> Response:
        """Add a call."""
        new = self._state.new_call.model_validate(await _body(request))
        return _json(201, self._state.add_call(new))

    async def get_call(self, request: Request) -> Response:
        """Return one call with its metrics."""
        return _json(200, self._state.call(request.path_params["id"]))

    async def add_metric(self, request: Request) -> Response:
        """Let a metric appear."""
        new = self._state.new_metric.model_validate(await _body(request))
        return _json(201, self._state.add_metric(request.path_params["id"], new))


class ControlAPI:
    """The endpoints for all services together."""

    def __init__(self, control: Control) -> None:
        self._control = control

    def routes(self) -> Mount:
        """Return the routes below ``/_emulator``."""
        control = self._control
        return Mount(
            "/_emulator",
            routes=[
                *CallsAPI(control.zelto).routes("/conversations", "customer-metrics"),
                *CallsAPI(control.roark).routes("/roark/chats", "metrics"),
                *CallsAPI(control.coval).routes("/coval/conversations", "metrics"),
                Route("/health", self.health),
                Route("/settings", self.get_settings),
                Route("/settings", self.change_settings, methods=["PATCH"]),
                Route("/faults", self.list_faults),
                Route("/faults", self.add_fault, methods=["POST"]),
                Route("/faults", self.clear_faults, methods=["DELETE"]),
                Route("/journal", self.read_journal),
                Route("/journal", self.clear_journal, methods=["DELETE"]),
                Route("/reset", self.reset, methods=["POST"]),
            ],
        )

    async def health(self, request: Request) -> Response:
        """Tell that the emulator is up."""
        return _json(200, {"status": "ok", "services": self._control.service_names})

    async def get_settings(self, request: Request) -> Response:
        """Return the settings in force."""
        return _json(200, self._control.settings.now.model_dump())

    async def change_settings(self, request: Request) -> Response:
        """Change some settings and return all."""
        return _json(200, self._control.settings.change(await _body(request)).model_dump())

    async def list_faults(self, request: Request) -> Response:
        """Return the faults that stand, with their counts."""
        return _json(200, {"faults": self._control.faults.as_json()})

    async def add_fault(self, request: Request) -> Response:
        """Let a fault stand."""
        return _json(201, self._control.add_fault(FaultSpec.model_validate(await _body(request))))

    async def clear_faults(self, request: Request) -> Response:
        """Remove every fault."""
        self._control.faults.clear()
        return Response(status_code=204)

    async def read_journal(self, request: Request) -> Response:
        """Stream the journal."""
        wanted = JournalFilter.model_validate(dict(request.query_params))
        return _stream("entries", self._control.journal.read(wanted))

    async def clear_journal(self, request: Request) -> Response:
        """Forget every journal entry."""
        self._control.journal.clear()
        return Response(status_code=204)

    async def reset(self, request: Request) -> Response:
        """Go back to the start."""
        self._control.reset()
        return Response(status_code=204)


async def _body(request: Request) -> dict[str, Any]:
    """Return the JSON object sent; an empty body stands for an empty object."""
    data = await request.body()
    return json_object(request.headers.get("content-type", "").encode(), data) if data else {}


def _json(status: int, value: object) -> Response:
    return Response(to_json(value), status, media_type="application/json")


def _stream(name: str, items: Iterable[dict[str, Any]]) -> StreamingResponse:
    return StreamingResponse(_pieces(name, iter(items)), media_type="application/json")


async def _pieces(name: str, items: Iterator[dict[str, Any]]) -> AsyncIterator[bytes]:
    """Yield a JSON object with one long list piece by piece, so that requests are answered in between."""
    yield b'{"%s":[' % name.encode()
    separator = b""
    # A body in the journal may hold 1e999, which reads as infinity and is no JSON on the way out.
    while batch := [to_json(item, inf_nan_mode="null") for item in islice(items, _BATCH)]:
        yield separator + b",\n".join(batch)
        separator = b",\n"
    yield b"]}\n"


async def invalid(request: Request, error: Exception) -> Response:
    """Answer 400 and say what is wrong with each field."""
    assert isinstance(error, (ValidationError, InvalidInputError))
    bad = explain(error) if isinstance(error, ValidationError) else error
    return _json(400, {"error": "Validation failed", "message": str(bad), "details": bad.details})


async def unknown_call(request: Request, error: Exception) -> Response:
    """Answer 404."""
    return _json(404, {"error": "Not found", "message": str(error)})


async def duplicate_call(request: Request, error: Exception) -> Response:
    """Answer 409."""
    return _json(409, {"error": "Conflict", "message": str(error)})


async def refused(request: Request, error: Exception) -> Response:
    """Answer with the error Starlette found, such as 404 or 405, as JSON."""
    assert isinstance(error, HTTPException)
    response = _json(error.status_code, {"error": error.detail})
    response.headers.update(error.headers or {})
    return response


ERROR_HANDLERS: dict[Any, Any] = {
    ValidationError: invalid,
    InvalidInputError: invalid,
    UnknownCallError: unknown_call,
    DuplicateCallError: duplicate_call,
    HTTPException: refused,
}
