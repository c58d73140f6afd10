"""The forms of the sources' connections: Zelto's, but for the address and where the key is from."""

from __future__ import annotations

import importlib

import pytest

from airflow_provider_zelto.get_provider_info import connection_type_info, get_provider_info
from tests.conftest import AIRFLOW_VERSION
from tests.sources import LOCAL_SOURCES
from tests.test_get_provider_info import form_library  # noqa: F401 - a fixture

PLACEHOLDERS = {
    "roark": {"host": "https://api.roark.ai (the default)", "password": "API token of the Roark project"},
    "coval": {"host": "https://api.coval.dev (the default)", "password": "API key of the Coval organization"},
}


def form_of_airflow_2(connection_type):
    from airflow.providers_manager import ProvidersManager

    manager = ProvidersManager()
    prefix = f"extra__{connection_type}__"
    fields = {
        name.removeprefix(prefix): (widget.field_name, widget.field.field_class, widget.field.args)
        for name, widget in manager.connection_form_widgets.items()
        if name.startswith(prefix)
    }
    behaviour = {**manager.field_behaviours[connection_type]}
    placeholders = {name.removeprefix(prefix): text for name, text in behaviour.pop("placeholders").items()}
    return placeholders, (fields, behaviour)


def form_of_airflow_3(connection_type):
    from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService

    (hook,) = [hook for hook in HookMetaService.hook_meta_data() if hook.connection_type == connection_type]
    standard = hook.standard_fields.model_dump(exclude_none=True)
    placeholders = {
        name: field.pop("placeholder") for name, field in standard.items() if "placeholder" in field
    }
    return placeholders, (standard, hook.extra_fields)


def without_link(fields):
    return {name: field for name, field in fields.items() if name != "call_url_template"}


@pytest.mark.usefixtures("form_library")
@pytest.mark.parametrize("name", LOCAL_SOURCES)
def test_airflow_shows_the_form_of_a_source(name):
    form_of = form_of_airflow_2 if AIRFLOW_VERSION < (3, 0) else form_of_airflow_3
    placeholders, form = form_of(name)
    placeholders_of_zelto, form_of_zelto = form_of("zelto")
    # Only Zelto has calls to link to.
    assert form == tuple(map(without_link, form_of_zelto))
    assert form != form_of_zelto
    assert all(form)
    assert placeholders == {**without_link(placeholders_of_zelto), **PLACEHOLDERS[name]}


@pytest.mark.usefixtures("form_library")
@pytest.mark.parametrize("name", LOCAL_SOURCES)
def test_airflow_knows_the_hook_of_a_source_and_can_test_its_connections(name):
    from airflow.providers_manager import ProvidersManager

    hook = ProvidersManager().hooks[name]
    assert hook.hook_class_name == f"airflow_provider_zelto.hooks.{name}.{LOCAL_SOURCES[name].hook.__name__}"
    assert hook.connection_id_attribute_name == f"{name}_conn_id"
    assert (hook.connection_testable, hook.hook_name) == (True, name.capitalize())


@pytest.mark.parametrize("name", LOCAL_SOURCES)
def test_a_connection_type_leads_to_its_hook_and_says_where_it_asks(name):
    hook = LOCAL_SOURCES[name].hook
    declared = connection_type_info(hook.conn_type)
    module, _, class_name = declared["hook-class-name"].rpartition(".")
    assert getattr(importlib.import_module(module), class_name) is hook
    assert declared["hook-name"] == hook.hook_name == hook.service.name
    assert declared["ui-field-behaviour"]["placeholders"]["host"].startswith(hook.service.base_url)
    assert hook.default_conn_name == f"{name}_default"


@pytest.mark.parametrize("name", LOCAL_SOURCES)
@pytest.mark.parametrize("kind", ["hooks", "operators", "sensors", "triggers", "transfers"])
def test_every_module_of_a_source_is_listed_and_can_be_imported(name, kind):
    named = {"integration-name": name.capitalize()}
    if kind == "transfers":
        named = {"source-integration-name": name.capitalize(), "target-integration-name": "Zelto"}
    (listed,) = [entry for entry in get_provider_info()[kind] if named.items() <= entry.items()]
    for module in listed.get("python-modules") or [listed["python-module"]]:
        importlib.import_module(module)
    assert name.capitalize() in {entry["integration-name"] for entry in get_provider_info()["integrations"]}
