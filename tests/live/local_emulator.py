"""The emulator as a process of its own, and its control API."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.live.processes import Child, LiveError, ended_afterwards, free_port, spawn, wait_until

_KEY = "zelto-emulator-key"


class LocalEmulator:
    """
    A local Zelto that is up.

    :param url: where it answers, e.g. ``http://127.0.0.1:40001``.
    :param process: the process behind it.
    """

    def __init__(self, url: str, process: Child) -> None:
        self.url = url
        self.process = process
        self._control = httpx.Client(base_url=f"{url}/_emulator/", trust_env=False, timeout=10)

    @property
    def connections(self) -> dict[str, dict[str, str]]:
        """The Airflow connections that lead here, by their ids."""
        paths = {"zelto": "", "roark": "/roark", "coval": "/coval"}
        return {
            f"{service}_default": {"conn_type": service, "host": self.url + path, "password": _KEY}
            for service, path in paths.items()
        }

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Send one request to the control API and give back its JSON; LiveError when there is none."""
        try:
            answer = self._control.request(method, path, json=body)
        except httpx.HTTPError as error:
            self.process.check()
            raise LiveError(f"The emulator at {self.url} does not answer: {error!r}") from None
        if answer.is_error:
            raise LiveError(f"The emulator refused {method} {path}: {answer.status_code} {answer.text}")
        return answer.json() if answer.content else None

    def is_up(self) -> bool:
        """Tell whether the emulator answers by now."""
        try:
            return self._control.get("health").is_success
        except httpx.TransportError:
            return False


@contextmanager
def local_emulator(logs: Path, port: int = 0) -> Iterator[LocalEmulator]:
    """
    Run an emulator for the length of a block.

    :param logs: folder for its log.
    :param port: port to listen on; a free one when it is 0.
    """
    port = port or free_port()
    command = [sys.executable, "-P", "-m", "airflow_provider_zelto.emulator", "--port", str(port)]
    with ended_afterwards() as children:
        children.append(spawn("emulator", command, os.environ, logs / "emulator.log"))
        emulator = LocalEmulator(f"http://127.0.0.1:{port}", children[0])
        wait_until(emulator.is_up, what="The start of the emulator", timeout=30, children=children)
        yield emulator
