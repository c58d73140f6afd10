"""A client for the metrics of one call."""

from __future__ import annotations

import httpx

KEY = "a-key-for-these-tests"


class ZeltoClient:
    """Requests to the metrics of one call, with the key unless told otherwise."""

    def __init__(self, client: httpx.Client, call: str) -> None:
        self.client = client
        self.call = call

    def request(
        self,
        method: str,
        *,
        call: str | None = None,
        headers: dict[str, str] | None = None,
        **request: object,
    ) -> httpx.Response:
        path = f"/v1/conversations/{self.call if call is None else call}/customer-metrics"
        headers = {"Authorization": f"Bearer {KEY}"} if headers is None else headers
        return self.client.request(method, path, headers=headers, **request)

    def submit(self, **body: object) -> httpx.Response:
        return self.request("POST", json=body)

    def list(self, call: str | None = None) -> httpx.Response:
        return self.request("GET", call=call)
