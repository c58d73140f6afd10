from __future__ import annotations

import importlib
import logging
import sys
from importlib.util import find_spec
from unittest.mock import MagicMock

import pytest

from airflow_provider_zelto.api_request import DEFAULT_MAX_RETRIES, DEFAULT_TIMEOUT
from airflow_provider_zelto.get_provider_info import connection_type_info, get_provider_info
from airflow_provider_zelto.hooks.zelto import ZeltoHook
from airflow_provider_zelto.services import ZELTO
from tests.conftest import AIRFLOW_VERSION

FIELDS = {
    "timeout": "Timeout (seconds)",
    "max_retries": "Retries",
    "ca_bundle": "CA bundle",
    "proxy": "Proxy",
    "call_url_template": "Address of a call",
}
TYPES = dict.fromkeys(FIELDS, "string") | {"timeout": "number", "max_retries": "integer"}
DESCRIPTIONS = {
    name: field["description"] for name, field in connection_type_info("zelto")["conn-fields"].items()
}
PLACEHOLDERS = {
    "host": "https://api.zelto.ai (the default)",
    "password": "Zelto: Settings → Integrations → API Call Upload",
}


FORM_LIBRARY = (
    *("wtforms", "wtforms.csrf", "wtforms.fields", "wtforms.fields.simple", "wtforms.validators"),
    *("flask_babel", "flask_appbuilder", "flask_appbuilder.fieldwidgets"),
)


@pytest.fixture
def form_library():
    """Stand in for what Airflow 3.0 makes forms of and does not bring; later ones do so themselves."""
    loaded = {name for name in FORM_LIBRARY if name in sys.modules}
    if AIRFLOW_VERSION == (3, 0) and find_spec("wtforms") is None:
        sys.modules.update({name: MagicMock() for name in FORM_LIBRARY})
    if AIRFLOW_VERSION == (3, 1):  # it makes forms only of hooks that nobody in the process has asked for yet
        from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService
        from airflow.providers_manager import ProvidersManager

        ProvidersManager()._cleanup()
        HookMetaService.hook_meta_data.cache_clear()
    yield
    for name in set(FORM_LIBRARY) - loaded:
        sys.modules.pop(name, None)


def form_of_airflow_2():
    from airflow.providers_manager import ProvidersManager

    manager = ProvidersManager()
    behaviour = manager.field_behaviours["zelto"]
    fields = [
        (widget.field_name, widget.field)
        for name, widget in manager.connection_form_widgets.items()
        if name.startswith("extra__zelto__")
    ]
    kinds = {"StringField": "string", "IntegerField": "integer"}
    return {
        "hidden": set(behaviour["hidden_fields"]),
        "labels": behaviour["relabeling"],
        "placeholders": {name: behaviour["placeholders"][name] for name in PLACEHOLDERS},
        "fields": {name: field.args[0] for name, field in fields},
        "descriptions": {name: field.kwargs["description"] for name, field in fields},
        "types": {name: kinds[field.field_class.__name__] for name, field in fields},
    }


def form_of_airflow_3():
    from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService

    (zelto,) = [hook for hook in HookMetaService.hook_meta_data() if hook.connection_type == "zelto"]
    standard = zelto.standard_fields.model_dump(exclude_none=True)
    # The schema field of a connection goes by the name of url_schema here.
    named = {"schema" if name == "url_schema" else name: field for name, field in standard.items()}
    shown = {name: field["schema"] for name, field in zelto.extra_fields.items()}
    assert [field["value"] for field in zelto.extra_fields.values()] == [None] * len(shown)
    return {
        "hidden": {name for name, field in named.items() if field["hidden"]},
        "labels": {name: field["title"] for name, field in named.items() if "title" in field},
        "placeholders": {
            name: field["placeholder"] for name, field in named.items() if "placeholder" in field
        },
        "fields": {name: field["title"] for name, field in shown.items()},
        "descriptions": {name: field["description"] for name, field in zelto.extra_fields.items()},
        "types": {name: field["type"][0] for name, field in shown.items()},
    }


@pytest.mark.usefixtures("form_library")
def test_airflow_shows_the_declared_form():
    form = form_of_airflow_2() if AIRFLOW_VERSION < (3, 0) else form_of_airflow_3()
    assert form == {
        "hidden": {"login", "port", "schema"},
        "labels": {"password": "API key"},
        "placeholders": PLACEHOLDERS,
        "fields": FIELDS,
        "descriptions": DESCRIPTIONS,
        # Before 3.2 a form has no field for numbers with a fraction.
        "types": TYPES if AIRFLOW_VERSION >= (3, 2) else {**TYPES, "timeout": "string"},
    }


def test_the_hook_makes_a_field_for_each_part_of_the_extra(monkeypatch):
    for name in FORM_LIBRARY:
        monkeypatch.setitem(sys.modules, name, MagicMock())
    widgets = ZeltoHook.get_connection_form_widgets()
    library = sys.modules["wtforms"]
    assert widgets == {
        name: (library.IntegerField if name == "max_retries" else library.StringField).return_value
        for name in FIELDS
    }
    made = library.IntegerField.call_args_list + library.StringField.call_args_list
    assert {call.args[0]: call.kwargs["description"] for call in made} == {
        FIELDS[name]: description for name, description in DESCRIPTIONS.items()
    }


def test_the_hook_shows_the_placeholders_of_the_extra_too():
    placeholders = ZeltoHook.get_ui_field_behaviour()["placeholders"]
    assert placeholders.keys() == PLACEHOLDERS.keys() | FIELDS.keys()


@pytest.mark.usefixtures("form_library")
def test_airflow_reads_the_provider_without_a_complaint(caplog, recwarn):
    from airflow.providers_manager import ProvidersManager

    manager = ProvidersManager()
    with caplog.at_level(logging.DEBUG):
        assert manager.hooks["zelto"].connection_testable
        assert manager.field_behaviours is not None
    complaints = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [record.getMessage() for record in complaints if "zelto" in record.getMessage().lower()] == []
    assert [str(warning.message) for warning in recwarn if "zelto" in str(warning.filename)] == []


def test_the_form_says_what_the_client_does_by_default():
    declared = connection_type_info("zelto")
    assert f"Default: {DEFAULT_TIMEOUT:g}." in declared["conn-fields"]["timeout"]["description"]
    assert f"Default: {DEFAULT_MAX_RETRIES}." in declared["conn-fields"]["max_retries"]["description"]
    assert declared["ui-field-behaviour"]["placeholders"]["host"].startswith(ZELTO.base_url)


def test_no_field_of_the_form_overwrites_an_extra_with_a_default():
    for field in connection_type_info("zelto")["conn-fields"].values():
        assert "default" not in field["schema"]
        assert "null" in field["schema"]["type"]


def test_a_connection_type_leads_to_its_hook():
    declared = connection_type_info(ZeltoHook.conn_type)
    module, _, name = declared["hook-class-name"].rpartition(".")
    assert getattr(importlib.import_module(module), name) is ZeltoHook
    assert declared["hook-name"] == ZeltoHook.hook_name


@pytest.mark.parametrize("kind", ["hooks", "operators", "sensors", "triggers"])
def test_every_module_that_is_listed_can_be_imported(kind):
    (listed,) = [entry for entry in get_provider_info()[kind] if entry["integration-name"] == "Zelto"]
    for module in listed["python-modules"]:
        importlib.import_module(module)
