from __future__ import annotations

import importlib
import warnings
from functools import partial
from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import Asset, AssetAlias, HookLineageCollector

from airflow_provider_zelto.assets import call_asset
from airflow_provider_zelto.decorators.zelto import ZeltoMetricDecoratedOperator
from airflow_provider_zelto.get_provider_info import get_provider_info
from airflow_provider_zelto.hooks.zelto import ZeltoHook
from airflow_provider_zelto.operators.zelto import (
    BulkSubmitCustomerMetricsOperator,
    SubmitCustomerMetricOperator,
)
from airflow_provider_zelto.transfers.roark_to_zelto import RoarkToZeltoOperator
from tests.conftest import AIRFLOW_VERSION, Run
from tests.dags.zelto_assets import CALL, OTHER_CALL, dag

pytest_plugins = ["tests.source_fixtures"]

URI = f"zelto://conversations/{CALL}"
ALIAS = AssetAlias("scored calls")

if AIRFLOW_VERSION < (3, 0):
    from airflow.utils.context import OutletEventAccessors
else:
    from airflow.sdk.execution_time.context import OutletEventAccessors


@pytest.mark.parametrize(
    "uri",
    [
        URI,
        f"zelto://conversations/{CALL.upper()}",
        f"ZELTO://Conversations/{CALL}/",
        f"zelto://conversations/{CALL.replace('-', '')}",
        f"{URI}#part",
    ],
)
def test_airflow_brings_the_uri_of_a_call_into_one_form(uri):
    assert Asset(uri).uri == URI


@pytest.mark.parametrize(
    "uri",
    [
        "zelto://conversations",
        "zelto://conversations/",
        "zelto://conversations/{{ params.call }}",
        f"zelto://calls/{CALL}",
        f"zelto://conversations/x/{CALL}",
        f"zelto://conversations/{CALL}/metrics",
        f"zelto://conversations/{CALL}?label=a",
        f"zelto:///{CALL}",
    ],
)
def test_a_uri_that_names_no_call_is_refused(uri):
    said = r"is not zelto://conversations/<UUID of the call>"
    if AIRFLOW_VERSION < (3, 0):
        with pytest.warns(UserWarning, match=said):
            Asset(uri)
    else:
        with pytest.raises(ValueError, match=said):
            Asset(uri)


def test_the_asset_of_a_call_is_the_same_in_every_spelling():
    asset = call_asset(CALL.upper(), extra={"a": 1})
    assert asset.uri == URI
    assert getattr(asset, "name", URI) == URI
    assert asset == call_asset(CALL, extra={"a": 1})
    with pytest.raises(ValueError, match="UUID"):
        call_asset("x")


def test_airflow_makes_the_asset_of_a_call_by_its_scheme():
    create = HookLineageCollector().create_asset if AIRFLOW_VERSION >= (3, 0) else None
    if create is None:
        create = partial(HookLineageCollector().create_dataset, uri=None, dataset_extra=None)
    kwargs = "asset_kwargs" if AIRFLOW_VERSION >= (3, 0) else "dataset_kwargs"
    assert create(scheme="zelto", **{kwargs: {"conversation_id": CALL}}).uri == URI


def test_both_names_of_assets_are_declared_alike():
    info = get_provider_info()
    assert info["asset-uris"] == info["dataset-uris"]


@pytest.fixture
def lineage(monkeypatch):
    """The URIs that hooks have written to, as a lineage backend reads them."""
    collector = HookLineageCollector()
    monkeypatch.setattr(
        "airflow.providers.common.compat.sdk.get_hook_lineage_collector", lambda: collector, raising=False
    )

    def collected():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return sorted(output.asset.uri for output in collector.collected_assets.outputs)

    return collected


def test_a_submit_is_an_output_of_its_hook(call, lineage, ask):
    ask("submit", call.upper(), label="a", score=1)
    ask("submit", call, label="b", score=1)
    ask("list", call)
    assert set(lineage()) == {f"zelto://conversations/{call}"}


@pytest.mark.usefixtures("emulator")
def test_a_submit_that_fails_is_no_output(lineage):
    with pytest.raises(Exception, match="404"):
        ZeltoHook().submit_customer_metric(CALL, label="a", score=1)
    assert lineage() == []


def test_a_batch_is_an_output_for_each_of_its_calls_up_to_a_limit(emulator, lineage, monkeypatch):
    monkeypatch.setattr("airflow_provider_zelto.submission.MAX_REPORTED_CALLS", 3)
    calls = [emulator.add_conversation() for _ in range(5)]
    rows = [{"conversation_id": call, "label": label, "score": 1} for call in calls for label in "ab"]
    BulkSubmitCustomerMetricsOperator(task_id="bulk", metrics=rows, concurrency=1).execute({})
    assert lineage() == sorted(f"zelto://conversations/{call}" for call in calls[:3])


def test_a_batch_that_only_validates_is_no_output(lineage):
    rows = [{"conversation_id": CALL, "label": "a", "score": 1}]
    BulkSubmitCustomerMetricsOperator(task_id="bulk", metrics=rows, dry_run=True).execute({})
    assert lineage() == []


@pytest.fixture
def calls(emulator):
    return [emulator.add_conversation(call) for call in (CALL, OTHER_CALL)]


def told(operator):
    """Run an operator and give what its asset events say: of the aliases, and of the assets."""
    events = OutletEventAccessors()
    operator.execute({"outlet_events": events})
    aliased, extras = [], {}
    for outlet in operator.outlets:
        accessor = events[outlet]
        if isinstance(outlet, AssetAlias):
            name = "asset_alias_events" if AIRFLOW_VERSION >= (3, 0) else "dataset_alias_events"
            for event in getattr(accessor, name):
                if AIRFLOW_VERSION >= (3, 0):
                    aliased.append((event.dest_asset_key.uri, event.extra))
                else:
                    aliased.append((event["dest_dataset_uri"], event["extra"]))
        else:
            extras[outlet.uri] = accessor.extra
    return aliased, extras


def details(emulator, label, call=CALL):
    [metric] = [metric for metric in emulator.metrics(call) if metric["label"] == label]
    return {name: metric.get(name) for name in ("label", "verdict", "score", "updatedAt")}


def submit(*outlets, conversation_id=CALL):
    return SubmitCustomerMetricOperator(
        task_id="submit",
        conversation_id=conversation_id,
        label="a",
        score=1,
        note="secret",
        outlets=list(outlets),
    )


def decorated(returned, *outlets):
    return ZeltoMetricDecoratedOperator(
        task_id="submit", python_callable=lambda: returned, conversation_id=CALL, outlets=list(outlets)
    )


@pytest.mark.usefixtures("calls")
def test_an_alias_and_the_asset_of_the_call_are_told_what_was_stored(emulator):
    aliased, extras = told(submit(ALIAS, call_asset(CALL), call_asset(OTHER_CALL), Asset("another")))
    stored = details(emulator, "a")
    assert aliased == [(URI, stored)]
    assert extras == {URI: stored, f"zelto://conversations/{OTHER_CALL}": {}, "another": {}}
    # Airflow 2 puts the values into a set.
    assert {*stored.values()}


@pytest.mark.usefixtures("calls")
def test_several_metrics_are_an_event_each_for_an_alias_and_one_for_an_asset(emulator):
    rows = [
        {"label": "a", "score": 1},
        {"label": "b", "verdict": True},
        {"conversation_id": OTHER_CALL, "label": "c", "score": 3},
    ]
    other_uri = f"zelto://conversations/{OTHER_CALL}"
    aliased, extras = told(decorated(rows, ALIAS, call_asset(CALL), call_asset(OTHER_CALL)))
    assert aliased == [
        (URI, details(emulator, "a")),
        (URI, details(emulator, "b")),
        (other_uri, details(emulator, "c", OTHER_CALL)),
    ]
    assert extras == {URI: {}, other_uri: details(emulator, "c", OTHER_CALL)}


def test_a_batch_is_one_event_for_each_call_up_to_a_limit(calls, monkeypatch):
    rows = [{"conversation_id": call, "label": label, "score": 1} for call in calls for label in "ab"]
    bulk = BulkSubmitCustomerMetricsOperator(task_id="bulk", metrics=rows, outlets=[ALIAS])
    aliased, _ = told(bulk)
    assert sorted(aliased) == sorted((f"zelto://conversations/{call}", {}) for call in calls)
    monkeypatch.setattr("airflow_provider_zelto.submission.MAX_REPORTED_CALLS", 1)
    assert len(told(bulk)[0]) == 1


@pytest.mark.usefixtures("calls")
def test_a_transfer_of_one_call_tells_what_it_carried(emulator, roark):
    chat = roark.add_chat()
    roark.add_metric_value(chat, "csat", 4)
    aliased, _ = told(
        RoarkToZeltoOperator(
            task_id="carry",
            chat_id=chat,
            conversation_id=CALL,
            mappings=[{"source": "csat", "label": "CSAT", "score_range": (0, 5)}],
            outlets=[ALIAS],
        )
    )
    assert aliased == [(URI, details(emulator, "CSAT"))]


@pytest.mark.skipif(AIRFLOW_VERSION < (3, 1), reason="dag.test() stores no asset events before Airflow 3.1")
@pytest.mark.usefixtures("calls", "airflow_db")
def test_airflow_stores_the_events_of_tasks_that_succeeded(emulator):
    from airflow.models.asset import AssetEvent
    from airflow.utils.session import create_session

    run = Run(dag.test())
    assert run.states.pop("fails") == "failed"
    assert {*run.states.values()} == {"success"}
    with create_session() as session:
        found = [
            (event.source_task_id, event.asset.uri.rpartition("/")[2], event.extra)
            for event in session.query(AssetEvent).filter_by(source_dag_id=dag.dag_id)
        ]
    assert sorted(found, key=str) == sorted(
        [
            ("asset", CALL, details(emulator, "asset")),
            ("alias", CALL, details(emulator, "alias")),
            ("another_asset", OTHER_CALL, {}),
            ("bulk", CALL, {}),
            ("bulk", OTHER_CALL, {}),
            ("decorated", CALL, details(emulator, "d1")),
            ("decorated", CALL, details(emulator, "d2")),
        ],
        key=str,
    )


def test_a_lineage_backend_knows_a_call_by_its_id(monkeypatch):
    [declared] = get_provider_info()["asset-uris"]
    module, _, name = declared["to_openlineage_converter"].rpartition(".")
    convert = getattr(importlib.import_module(module), name)
    # Where OpenLineage is not installed its classes are stand-ins that make nothing.
    monkeypatch.setattr("airflow.providers.common.compat.openlineage.facet.Dataset", SimpleNamespace)
    assert vars(convert(call_asset(CALL), None)) == {"namespace": "zelto", "name": f"conversations/{CALL}"}
