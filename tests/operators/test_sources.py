from __future__ import annotations

import pytest

from airflow_provider_zelto.exceptions import AuthenticationError, InvalidMetricError, NotFoundError
from tests.sources import LOCAL_SOURCES, host

pytest_plugins = ["tests.source_fixtures"]

TEMPLATE = "{{ params.anything }}"
TEXTS = [
    (name, field)
    for name, source in LOCAL_SOURCES.items()
    for field in source.list_operator.template_fields
    if field != f"{name}_conn_id"
]


def list_metrics(source, **arguments):
    return source.list_operator(task_id="list", **{source.id_field: source.example_id, **arguments})


def test_an_operator_uses_the_connection_it_is_given(emulator, source, connect_source):
    source.add_call(source.example_id)
    connect_source(source.name, host(emulator, source.name), conn_id="refused", password="wrong-key")
    with pytest.raises(AuthenticationError):
        list_metrics(source, **{f"{source.name}_conn_id": "refused"}).execute({})


def test_a_call_that_the_source_does_not_know_fails_the_task(source):
    with pytest.raises(NotFoundError):
        list_metrics(source).execute({})


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("roark", ("chat_id", "status", "roark_conn_id")),
        ("coval", ("conversation_id", "filter", "order_by", "coval_conn_id")),
    ],
)
def test_every_text_is_templated(name, fields):
    operator = list_metrics(LOCAL_SOURCES[name], **{field: f"{{{{ {field} }}}}" for field in fields})
    operator.render_template_fields({field: field.upper() for field in fields})
    assert [getattr(operator, field) for field in fields] == [field.upper() for field in fields]
    assert operator.template_fields == fields


@pytest.mark.parametrize(("name", "field"), TEXTS)
def test_a_template_that_renders_to_a_bad_value_is_refused_before_anything_is_sent(
    request, emulator, name, field
):
    request.getfixturevalue(name)
    operator = list_metrics(LOCAL_SOURCES[name], **{field: TEMPLATE})
    operator.render_template_fields({"params": {"anything": "not / this"}})
    with pytest.raises(InvalidMetricError) as caught:
        operator.execute({})
    assert [error.field for error in caught.value.errors] == [field]
    assert emulator.journal() == []


@pytest.mark.parametrize("source", LOCAL_SOURCES.values(), ids=LOCAL_SOURCES)
def test_an_xcom_may_name_the_call(source, xcom):
    assert list_metrics(source, **{source.id_field: xcom["key"]}).upstream_task_ids == {"anything"}
