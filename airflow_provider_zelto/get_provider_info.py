"""What Airflow reads about this provider; imports nothing, because every Airflow process calls it."""

from __future__ import annotations

from typing import Any

_PACKAGE = "airflow_provider_zelto"

_EXTRA_FIELDS: dict[str, dict[str, Any]] = {
    "timeout": {
        "label": "Timeout (seconds)",
        "description": "Seconds to wait for a connection and for each part of an answer. Default: 30.",
        "schema": {"type": ["number", "null"]},
    },
    "max_retries": {
        "label": "Retries",
        "description": "How often a request is repeated after a network error, 408, 429 or 5xx. Default: 4.",
        "schema": {"type": ["integer", "null"]},
    },
    "ca_bundle": {
        "label": "CA bundle",
        "description": "Path of a PEM file with the CAs to trust, where tasks and triggers run.",
        "schema": {"type": ["string", "null"]},
    },
    "proxy": {
        "label": "Proxy",
        "description": "URL of the HTTP proxy to go through.",
        "schema": {"type": ["string", "null"]},
    },
}

_ZELTO_FIELDS: dict[str, dict[str, Any]] = {
    **_EXTRA_FIELDS,
    "call_url_template": {
        "label": "Address of a call",
        "description": "URL of a call in Zelto's web app with {conversation_id} in it, for links in the UI.",
        "schema": {"type": ["string", "null"]},
    },
}

_CONNECTION_TYPES: list[dict[str, Any]] = [
    {
        "connection-type": connection_type,
        "hook-name": name,
        "hook-class-name": f"{_PACKAGE}.hooks.{connection_type}.{name}Hook",
        "ui-field-behaviour": {
            "hidden-fields": ["login", "port", "schema"],
            "relabeling": {"password": "API key"},
            "placeholders": {
                "host": f"{base_url} (the default)",
                "password": key_source,
                "timeout": "30",
                "max_retries": "4",
                "ca_bundle": "/etc/ssl/certs/private-ca.pem",
                "proxy": "http://proxy.example.com:3128",
                **placeholders,
            },
        },
        "conn-fields": _ZELTO_FIELDS if connection_type == "zelto" else _EXTRA_FIELDS,
    }
    for connection_type, name, base_url, key_source, placeholders in [
        (
            "zelto",
            "Zelto",
            "https://api.zelto.ai",
            "Zelto: Settings → Integrations → API Call Upload",
            {"call_url_template": "https://app.example.com/calls/{conversation_id}"},
        ),
        ("roark", "Roark", "https://api.roark.ai", "API token of the Roark project", {}),
        ("coval", "Coval", "https://api.coval.dev", "API key of the Coval organization", {}),
    ]
]


def _transfer(source: str, module: str) -> dict[str, str]:
    return {
        "source-integration-name": source,
        "target-integration-name": "Zelto",
        "python-module": f"{_PACKAGE}.transfers.{module}",
    }


def _modules(kind: str) -> list[dict[str, Any]]:
    return [
        {"integration-name": name, "python-modules": [f"{_PACKAGE}.{kind}.{name.lower()}"]}
        for name in ("Zelto", "Roark", "Coval")
    ]


_ASSET_URIS: list[dict[str, Any]] = [
    {
        "schemes": ["zelto"],
        "handler": f"{_PACKAGE}.assets.sanitize_uri",
        "factory": f"{_PACKAGE}.assets.call_asset",
        "to_openlineage_converter": f"{_PACKAGE}.assets.to_openlineage",
    }
]


def get_provider_info() -> dict[str, Any]:
    """Describe the provider to Airflow, in the form of its ``provider_info.schema.json``."""
    return {
        "package-name": "airflow-provider-zelto",
        "name": "Zelto",
        "description": "Submit call evaluations to `Zelto <https://zelto.ai>`__, wait for them, read them.",
        "integrations": [
            {"integration-name": "Zelto", "external-doc-url": "https://docs.zelto.ai", "tags": ["service"]},
            {"integration-name": "Roark", "tags": ["service"]},
            {"integration-name": "Coval", "tags": ["service"]},
        ],
        **{kind: _modules(kind) for kind in ("hooks", "operators", "sensors", "triggers")},
        "transfers": [
            _transfer("Common SQL", "sql_to_zelto"),
            _transfer("Roark", "roark_to_zelto"),
            _transfer("Coval", "coval_to_zelto"),
        ],
        "connection-types": _CONNECTION_TYPES,
        "extra-links": [f"{_PACKAGE}.links.CallLink"],
        "task-decorators": [
            {"name": "zelto_metric", "class-name": f"{_PACKAGE}.decorators.zelto.zelto_metric_task"}
        ],
        "asset-uris": _ASSET_URIS,
        "dataset-uris": _ASSET_URIS,  # what Airflow 2 calls them
    }


def connection_type_info(connection_type: str) -> dict[str, Any]:
    """Give the declaration of one connection type."""
    return next(info for info in _CONNECTION_TYPES if info["connection-type"] == connection_type)
