from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import Connection
from airflow.serialization import serialized_objects

from airflow_provider_zelto.connection import call_url
from airflow_provider_zelto.exceptions import InvalidConnectionError
from airflow_provider_zelto.get_provider_info import get_provider_info
from airflow_provider_zelto.links import CallLink
from airflow_provider_zelto.operators.zelto import (
    BulkSubmitCustomerMetricsOperator,
    ListCustomerMetricsOperator,
    SubmitCustomerMetricOperator,
)
from airflow_provider_zelto.sensors.zelto import CustomerMetricsSensor
from airflow_provider_zelto.transfers.coval_to_zelto import CovalToZeltoOperator
from airflow_provider_zelto.transfers.roark_to_zelto import RoarkToZeltoOperator
from tests.answers import CALL
from tests.conftest import AIRFLOW_VERSION, API_KEY, Run
from tests.dags import zelto_links

LINK = "Open call in Zelto"
TEMPLATE = "https://app.example.com/calls/{conversation_id}"
DagSerialization = getattr(serialized_objects, "DagSerialization", None) or serialized_objects.SerializedDAG


def url(template, conversation_id=CALL, **fields):
    extra = json.dumps({"call_url_template": template})
    connection = Connection(conn_id="zelto_here", conn_type="zelto", password=API_KEY, extra=extra, **fields)
    return call_url(connection, conversation_id)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (TEMPLATE, f"https://app.example.com/calls/{CALL}"),
        ("http://127.0.0.1:8080/#/{conversation_id}", f"http://127.0.0.1:8080/#/{CALL}"),
        (
            "https://a.example/?c={conversation_id}&x={y}%20{0}",
            f"https://a.example/?c={CALL}&x={{y}}%20{{0}}",
        ),
    ],
)
def test_the_address_of_a_call_is_made_from_the_template(template, expected):
    assert url(template) == expected


def test_a_call_is_written_as_its_uuid_whatever_its_spelling():
    assert url(TEMPLATE, f"{{{CALL.upper()}}}") == f"https://app.example.com/calls/{CALL}"


@pytest.mark.parametrize("nothing", ["", None])
def test_without_a_template_there_is_no_address(nothing):
    assert url(nothing) is None
    assert call_url(Connection(conn_id="c", conn_type="zelto"), CALL) is None


@pytest.mark.parametrize(
    "template",
    [
        "https://app.example.com/calls",
        "app.example.com/{conversation_id}",
        "javascript:alert('{conversation_id}')",
        "ftp://a.example/{conversation_id}",
        "https:///{conversation_id}",
        f"https://user:{API_KEY}@a.example/{{conversation_id}}",
        "https://a.example:port/{conversation_id}",
        "https://[a/{conversation_id}",
        "https://a.example/ {conversation_id}",
        "https://a.example/\u202e{conversation_id}",
        "https://a.example/{}",
        5,
        ["{conversation_id}"],
    ],
)
def test_a_template_that_is_none_is_refused_without_showing_it(template):
    with pytest.raises(InvalidConnectionError, match="'zelto_here': call_url_template in extra") as caught:
        url(template)
    assert API_KEY not in str(caught.value)


@pytest.mark.parametrize("text", ["../../admin", "x?y", "{{ ds }}", ""])
def test_nothing_but_a_uuid_gets_into_an_address(text):
    with pytest.raises(ValueError, match="UUID"):
        url(TEMPLATE, text)


def link(**fields):
    """Make the link as a worker of Airflow 3 does, with the task as it ran."""
    fields = {"conversation_id": CALL, "zelto_conn_id": "zelto_default", **fields}
    key = SimpleNamespace(dag_id="none", task_id="none", run_id="none", map_index=-1)
    return CallLink().get_link(SimpleNamespace(**fields), ti_key=key)


@pytest.mark.usefixtures("airflow_db")
def test_a_task_has_the_link_of_its_call(connect):
    connect(extra={"call_url_template": TEMPLATE})
    assert link() == f"https://app.example.com/calls/{CALL}"


@pytest.mark.parametrize("conversation_id", [None, "", "no-uuid"])
def test_a_task_that_names_no_call_has_no_link(connect, conversation_id):
    connect(extra={"call_url_template": TEMPLATE})
    assert link(conversation_id=conversation_id) == ""


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "No link to the call (AirflowNotFoundException)."),
        (f"zelto://:{API_KEY[:5]}/{API_KEY[5:]}@api.zelto.ai", "No link to the call ("),
        (
            '{"conn_type": "zelto", "extra": {"call_url_template": "x"}}',
            "No link to the call: Connection 'zelto_",
        ),
    ],
)
def test_a_connection_that_cannot_be_used_is_a_warning_without_the_key(
    airflow_db, monkeypatch, logged, value, said
):
    if value:
        monkeypatch.setenv("AIRFLOW_CONN_ZELTO_BROKEN", value)
    assert link(zelto_conn_id="zelto_broken") == ""
    [line] = [line for line in logged() if line.text.startswith("No link")]
    assert line.level == "WARNING"
    assert line.text.startswith(said)
    assert API_KEY[:5] not in line.text
    assert API_KEY[5:] not in line.text


def test_airflow_is_told_of_the_link():
    [path] = get_provider_info()["extra-links"]
    assert path == f"{CallLink.__module__}.{CallLink.__name__}"


@pytest.mark.parametrize(
    "operator",
    [
        SubmitCustomerMetricOperator,
        ListCustomerMetricsOperator,
        CustomerMetricsSensor,
        RoarkToZeltoOperator,
        CovalToZeltoOperator,
    ],
)
def test_every_operator_that_names_a_call_has_the_link(operator):
    assert [link.name for link in operator.operator_extra_links] == [LINK]


def test_an_operator_for_many_calls_has_no_link():
    assert not any(link.name == LINK for link in BulkSubmitCustomerMetricsOperator.operator_extra_links)


@pytest.fixture(scope="module")
def run(airflow_db, local_zelto):
    """One run of the DAG whose tasks have links, and the call that it is about."""
    local_zelto.reset()
    call = local_zelto.add_conversation()
    plain = json.loads(local_zelto.connection_json())
    with pytest.MonkeyPatch.context() as environment:
        default = {**plain, "extra": {"call_url_template": TEMPLATE}}
        environment.setenv("AIRFLOW_CONN_ZELTO_DEFAULT", json.dumps(default))
        environment.setenv("AIRFLOW_CONN_ZELTO_PLAIN", json.dumps(plain))
        finished = Run(zelto_links.dag.test(run_conf={"conversation_id": call}))
        stored = DagSerialization.from_dict(json.loads(json.dumps(DagSerialization.to_dict(zelto_links.dag))))
        finished.links = {
            task_id: stored.task_dict[task_id].get_extra_links(ti, LINK)
            for (task_id, _), ti in finished.tasks.items()
        }
    return finished, call


def test_the_ui_shows_the_links_of_tasks_that_ran(run):
    finished, call = run
    expected = f"https://app.example.com/calls/{call}"
    shown = {task_id: link for task_id, link in finished.links.items() if link}
    assert shown.pop("fails") == "https://app.example.com/calls/00000000-0000-4000-8000-000000000000"
    names = ["submit", "wait", "list", "mapped"]
    if AIRFLOW_VERSION >= (3, 0):
        names.append("decorated")  # before that only what a task was given is known, not what it returned
    assert shown == dict.fromkeys(names, expected)


def test_tasks_end_as_they_would_without_links(run):
    finished, _ = run
    failed = {"fails", "no_connection"}
    assert {name for name, state in finished.states.items() if state != "success"} == failed
