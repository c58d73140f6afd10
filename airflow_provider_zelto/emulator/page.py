"""The page at ``/`` where people watch calls, metrics and requests come in."""

from __future__ import annotations

from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from airflow_provider_zelto.emulator.calls import CallStore
from airflow_provider_zelto.emulator.clock import iso, utcnow
from airflow_provider_zelto.emulator.control import Control

if TYPE_CHECKING:
    from jinja2 import Template

_HERE = Path(__file__).parent / "web"
_REQUESTS_SHOWN = 20
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Page:
    """The page, its style sheet and the script that refreshes it."""

    def __init__(self, control: Control) -> None:
        self._control = control

    @cached_property
    def _template(self) -> Template:
        # Jinja is a third of the start-up time, and most tests never look at the page.
        from jinja2 import Environment, FileSystemLoader, StrictUndefined

        environment = Environment(
            loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        environment.filters["clock"] = _clock
        return environment.get_template("page.html")

    def routes(self) -> list[Route]:
        """Return the routes of the page and of its two files."""
        return [
            Route("/", self.show),
            Route("/_emulator/page.css", self.style_sheet),
            Route("/_emulator/page.js", self.script),
        ]

    async def show(self, request: Request) -> Response:
        """Show the calls that changed last and the latest requests."""
        control = self._control
        calls, metrics = control.zelto.counts()
        html = self._template.render(
            now=iso(utcnow()),
            calls=_recent(control.zelto),
            chats=_recent(control.roark),
            conversations=_recent(control.coval),
            call_count=calls,
            metric_count=metrics,
            requests=control.journal.latest(_REQUESTS_SHOWN),
            request_count=control.journal.count,
            faults=control.faults.as_json(),
            settings=control.settings.now,
        )
        return Response(html.encode(), media_type="text/html", headers=_HEADERS)

    async def style_sheet(self, request: Request) -> Response:
        """Return the style sheet."""
        return FileResponse(_HERE / "page.css", headers=_HEADERS)

    async def script(self, request: Request) -> Response:
        """Return the script."""
        return FileResponse(_HERE / "page.js", media_type="text/javascript", headers=_HEADERS)


def _recent(state: CallStore[Any]) -> list[dict[str, Any]]:
    return list(state.describe(state.recent_call_ids()))


def _clock(moment: str) -> str:
    return datetime.fromisoformat(moment).strftime("%H:%M:%S")
