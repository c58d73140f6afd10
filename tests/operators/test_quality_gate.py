from __future__ import annotations

import json
from threading import Timer

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException

from airflow_provider_zelto.exceptions import (
    AuthenticationError,
    BatchStoppedError,
    InternalServerError,
    InvalidMetricError,
    PermissionDeniedError,
    QualityGateError,
)
from airflow_provider_zelto.operators.zelto import CustomerMetricsCheckOperator
from tests.answers import CALL, METRIC
from tests.conftest import API_KEY, Run
from tests.dags import zelto_gates
from tests.test_coverage import calls as ids_of_calls

NOWHERE = "00000000-0000-4000-8000-000000000000"


def check(**arguments):
    return CustomerMetricsCheckOperator(task_id="gate", **arguments)


@pytest.fixture
def ti(mocker):
    """The task instance, which takes the XCom that a gate leaves before it fails."""
    return mocker.Mock(spec=["xcom_push"])


@pytest.fixture
def calls(emulator):
    """Ten calls: scores from 0 to 90, of which the first two fail, and a label without a verdict."""
    made = [emulator.add_conversation() for _ in range(10)]
    for number, call in enumerate(made):
        emulator.add_metric(call, "Tone", score=10 * number, verdict="fail" if number < 2 else "pass")
        emulator.add_metric(call, "Pace", score=50)
    return made


def metric(call=CALL, **changes):
    return {**METRIC, "conversationId": call, "label": "Tone", **changes}


def test_a_gate_that_is_passed_gives_its_report(calls, ti):
    report = check(conversation_ids=calls, label="Tone", min_pass_rate=0.8, min_mean_score=45).execute(
        {"ti": ti}
    )
    assert report["passed"] is True
    assert (report["samples"], report["passes"], report["fails"]) == (10, 8, 2)
    assert (report["calls"], report["covered"], report["not_read"]) == (10, 10, 0)
    assert json.loads(json.dumps(report)) == report
    assert ti.mock_calls == []


def test_a_gate_that_is_not_passed_fails_for_good_and_leaves_its_report(calls, ti):
    gate = check(conversation_ids=calls, label="Tone", min_pass_rate=0.9, max_fail_count=2)
    with pytest.raises(QualityGateError) as caught:
        gate.execute({"ti": ti})
    assert isinstance(caught.value, AirflowFailException)
    message = str(caught.value)
    assert "min_pass_rate: asked 0.9, found 0.8, missed by 0.1 (8 of 10 verdicts are pass)" in message
    assert "max_fail_count" not in message
    assert f"Worst calls: {calls[0]} (fail in 'Tone', lowest score 0); {calls[1]}" in message
    ti.xcom_push.assert_called_once()
    pushed = ti.xcom_push.call_args.kwargs
    assert pushed["key"] == "return_value"
    assert pushed["value"]["passed"] is False
    assert [bad["conversation_id"] for bad in pushed["value"]["worst_calls"]] == calls[:2]


def test_a_gate_can_skip_instead_and_says_why_in_the_log(calls, ti, logged):
    gate = check(conversation_ids=calls, label="Tone", min_score=5, on_failure="skip")
    with pytest.raises(AirflowSkipException, match="min_score: asked 5, found 0, missed by 5") as caught:
        gate.execute({"ti": ti})
    ti.xcom_push.assert_called_once()
    assert f"Worst calls: {calls[0]}" in str(caught.value)
    assert ("WARNING", str(caught.value)) in logged()


def test_a_gate_that_pushes_no_xcom_pushes_none_on_failure(calls, ti):
    with pytest.raises(QualityGateError):
        check(conversation_ids=calls, min_score=5, do_xcom_push=False).execute({"ti": ti})
    assert ti.mock_calls == []


class TestMissingData:
    @pytest.fixture
    def broken(self, ti):
        """Give the names of the conditions that do not hold."""

        def run(**arguments):
            with pytest.raises(QualityGateError):
                check(**arguments).execute({"ti": ti})
            report = ti.xcom_push.call_args.kwargs["value"]
            return [told["condition"] for told in report["conditions"] if not told["holds"]]

        return run

    def test_a_call_that_zelto_does_not_know_breaks_a_gate(self, calls, broken, ti):
        assert broken(conversation_ids=[*calls, NOWHERE], label="Tone", min_score=0) == ["min_coverage"]
        report = ti.xcom_push.call_args.kwargs["value"]
        assert (report["not_read"], report["missing_calls"]) == (1, [NOWHERE])
        check(conversation_ids=[*calls, NOWHERE], label="Tone", min_score=0, min_coverage=0.9).execute({})

    def test_a_metric_without_a_verdict_breaks_a_pass_rate(self, calls, broken):
        assert broken(conversation_ids=calls, min_pass_rate=0.5) == ["max_without_value"]
        check(conversation_ids=calls, min_pass_rate=0.5, max_without_value=10).execute({})

    def test_a_call_without_the_label_breaks_a_gate(self, calls, broken):
        assert broken(conversation_ids=calls, labels=["Tone", "None"], min_score=0) == [
            "labels",
            "min_coverage",
        ]

    def test_no_calls_and_no_metrics_break_a_gate(self, emulator, broken):
        assert broken(conversation_ids=[], min_score=0) == ["min_score", "min_samples", "min_coverage"]
        assert broken(metrics=[], min_score=0) == ["min_score", "min_samples"]
        assert emulator.journal() == []

    def test_metrics_older_than_wanted_are_none(self, calls, broken):
        assert broken(conversation_ids=calls, min_score=0, updated_after="2100-01-01") == [
            "min_score",
            "min_samples",
            "min_coverage",
        ]

    def test_an_answer_that_cannot_be_judged_is_no_answer(self, emulator, calls, broken, tmp_path):
        emulator.fault(path=calls[0], status=200, body={"data": [metric(calls[0], score=1000)]})
        rejects = tmp_path / "rejects.jsonl"
        assert broken(conversation_ids=calls, min_score=0, rejects_path=str(rejects)) == ["min_coverage"]
        [reject] = map(json.loads, rejects.read_text().splitlines())
        assert (reject["row"], "a number from 0 to 100" in reject["reason"]) == (calls[0], True)


def test_calls_come_from_a_file_and_each_is_read_once(emulator, calls, tmp_path):
    file = tmp_path / "calls.txt"
    file.write_text("\n".join([*calls, calls[0].upper(), ""]))
    report = check(conversation_ids=f"file://{file}", label="Tone", max_fail_count=2).execute({})
    assert report["calls"] == len(emulator.journal()) == 10


def test_metrics_are_judged_as_they_are_given_and_nothing_is_asked(emulator, tmp_path):
    ids = ids_of_calls(3)
    given = [[metric(call, score=90)] for call in ids]
    report = check(metrics=given, expected_calls=ids, min_coverage=1, min_score=90).execute({})
    assert report["covered"] == 3
    file = tmp_path / "calls.txt"
    file.write_text("\n".join(ids_of_calls(4)))
    with pytest.raises(AirflowSkipException, match="3 of 4 calls have the metrics"):
        check(
            metrics=given,
            expected_calls=f"file://{file}",
            min_score=90,
            on_failure="skip",
            do_xcom_push=False,
        ).execute({})
    assert emulator.journal() == []


@pytest.mark.parametrize(("status", "error"), [(401, AuthenticationError), (403, PermissionDeniedError)])
def test_a_refused_key_is_no_bad_metric(emulator, calls, ti, status, error):
    emulator.fault(status=status)
    with pytest.raises(error):
        check(conversation_ids=calls, min_score=0, concurrency=2, on_failure="skip").execute({"ti": ti})
    assert ti.mock_calls == []


def test_passing_failures_are_borne(emulator, calls):
    emulator.fault(status=503, count=2)
    assert check(conversation_ids=calls, label="Tone", min_pass_rate=0.8).execute({})["passed"]


def test_a_service_that_stays_down_decides_nothing(emulator, calls, ti, mocker):
    from airflow_provider_zelto import bulk
    from airflow_provider_zelto.api_request import RetryPolicy

    mocker.patch.object(bulk, "PATIENT", RetryPolicy(max_retries=0))
    emulator.fault(status=503)
    with pytest.raises(InternalServerError) as caught:
        check(conversation_ids=calls, min_score=0, on_failure="skip").execute({"ti": ti})
    assert not isinstance(caught.value, AirflowFailException)
    assert ti.mock_calls == []


def test_a_task_that_is_killed_reads_no_further_and_decides_nothing(emulator, calls, ti):
    emulator.settings(latency=0.2)
    gate = check(conversation_ids=calls, min_score=0, concurrency=2)
    killer = Timer(0.3, gate.on_kill)
    killer.start()
    with pytest.raises(BatchStoppedError):
        gate.execute({"ti": ti})
    assert len(emulator.journal()) < len(calls)
    assert ti.mock_calls == []


@pytest.mark.parametrize(
    ("arguments", "fields"),
    [
        ({"min_score": 1}, ["metrics or conversation_ids"]),
        ({"metrics": [], "conversation_ids": [], "min_score": 1}, ["metrics or conversation_ids"]),
        (
            {"metrics": "{{ x }}", "conversation_ids": "{{ y }}", "min_score": 1},
            ["metrics or conversation_ids"],
        ),
        ({"metrics": "{{ x }}"}, ["conditions"]),
        ({"metrics": "{{ x }}", "min_coverage": 0.9}, ["min_coverage"]),
        ({"conversation_ids": ["x"], "min_pass_rate": 95}, ["conversation_ids", "min_pass_rate"]),
        ({"conversation_ids": [], "min_score": 1, "concurrency": 0}, ["concurrency"]),
        ({"metrics": [{"label": "a"}], "min_score": 1}, ["metrics"]),
        ({"metrics": [], "min_score": 1, "label": "", "on_failure": "ignore"}, ["label", "on_failure"]),
    ],
)
def test_a_literal_argument_that_is_wrong_fails_when_the_dag_is_parsed(arguments, fields):
    with pytest.raises(InvalidMetricError) as caught:
        check(**arguments)
    assert sorted(error.field for error in caught.value.errors) == fields


def test_how_many_calls_may_be_missing_is_a_matter_of_coverage():
    with pytest.raises(TypeError, match="max_rejects"):
        check(metrics=[], min_score=1, max_rejects=5)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(
            (name, "{{ x }}")
            for name in CustomerMetricsCheckOperator.template_fields
            if name != "metric_label"
        ),
        ("labels", ["{{ x }}"]),
        ("label", "{{ x }}"),
        ("conversation_ids", ["{{ x }}"]),
    ],
)
def test_a_template_is_not_checked_before_it_is_rendered(field, value):
    arguments = {"metrics": [], "min_score": 1, field: value}
    if field == "conversation_ids":
        del arguments["metrics"]
    if field == "min_coverage":
        arguments["expected_calls"] = []
    assert check(**arguments)


def test_every_template_is_rendered():
    gate = check(
        metrics="{{ x }}",
        min_score="{{ y }}",
        label="{{ z }}",
        expected_calls=["{{ x }}"],
        zelto_conn_id="{{ z }}",
    )
    gate.render_template_fields({"x": "X", "y": 5, "z": "Z"})
    rendered = {name: getattr(gate, name) for name in gate.template_fields}
    assert {name: value for name, value in rendered.items() if value is not None} == {
        "metrics": "X",
        "expected_calls": ["X"],
        "metric_label": "Z",
        "min_score": "5",
        "min_samples": 1,
        "max_without_value": 0,
        "zelto_conn_id": "Z",
    }


@pytest.mark.parametrize("field", ["metrics", "conversation_ids", "labels", "min_pass_rate"])
def test_an_xcom_may_stand_in_a_templated_argument(xcom, field):
    arguments = {"metrics": [], "min_score": 1, field: xcom}
    if field == "conversation_ids":
        del arguments["metrics"]
    assert check(**arguments).upstream_task_ids == {"anything"}


@pytest.mark.parametrize(
    ("field", "value"), [("metrics", None), ("metrics", "[]"), ("metrics", 5), ("min_score", "high")]
)
def test_what_a_template_turned_out_to_be_may_be_wrong_too(emulator, field, value):
    gate = check(metrics="{{ x }}", min_score="{{ y }}")
    gate.metrics, gate.min_score = [], 1
    setattr(gate, field, value)
    with pytest.raises(InvalidMetricError) as caught:
        gate.execute({})
    [error] = caught.value.errors
    assert error.field.startswith(field)


def test_the_log_tells_each_condition_and_the_key_is_nowhere(emulator, calls, ti, logged):
    emulator.fault(status=503, body={"error": f"{API_KEY} has to wait"}, count=2)
    with pytest.raises(QualityGateError) as caught:
        check(conversation_ids=calls, label="Tone", min_pass_rate=0.9, min_mean_score=40).execute({"ti": ti})
    lines = [line for line in logged() if "old" in line.text]
    assert ("INFO", "Holds: min_mean_score: asked 40, found 45 (10 scores from 0 to 90).") in lines
    assert (
        "WARNING",
        "Does not hold: min_pass_rate: asked 0.9, found 0.8, missed by 0.1 (8 of 10 verdicts are pass).",
    ) in lines
    told = [line.text for line in logged()] + [str(caught.value), str(ti.mock_calls)]
    assert [line for line in told if API_KEY in line] == []


@pytest.fixture(scope="module")
def run(airflow_db, local_zelto, tmp_path_factory):
    """One run of the DAG with gates of all kinds."""
    local_zelto.reset()
    ids = [local_zelto.add_conversation() for _ in range(4)]
    for call in ids[1:]:
        local_zelto.add_metric(call, "Tone", verdict="pass", score=60)
    folder = tmp_path_factory.mktemp("calls")
    (folder / "calls.txt").write_text("\n".join(ids))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AIRFLOW_CONN_ZELTO_DEFAULT", local_zelto.connection_json())
        finished = Run(zelto_gates.dag.test(run_conf={"calls": ids, "folder": str(folder)}))
    finished.ids = ids
    return finished


def test_in_a_dag_a_wait_for_many_calls_leaves_its_summary(run):
    assert run.states["wait"] == "success"
    found = run.xcom("wait")
    assert (found["calls"], found["covered"], found["missing"]) == (4, 4, [])


@pytest.mark.parametrize(
    ("name", "samples"), [("of_one", 1), ("of_mapped", 4), ("of_calls", 4), ("of_a_file", 4)]
)
def test_in_a_dag_a_gate_that_is_passed_lets_the_next_task_run(run, name, samples):
    assert (run.states[name], run.states[f"after_{name}"]) == ("success", "success")
    assert run.xcom(name)["samples"] == samples


def test_in_a_dag_a_gate_that_fails_is_not_tried_again_and_leaves_its_report(run):
    failed = run.tasks["fails", -1]
    assert (failed.state, failed.try_number, failed.max_tries) == ("failed", 1, 2)
    assert run.states["after_fails"] == "upstream_failed"
    assert run.xcom("fails")["passed"] is False


def test_in_a_dag_a_gate_that_skips_skips_what_comes_after_it_and_leaves_its_report(run):
    assert (run.states["skips"], run.states["after_skips"]) == ("skipped", "skipped")
    report = run.xcom("skips")
    assert report["passed"] is False
    assert report["worst_calls"] == [
        {"conversation_id": run.ids[0], "failed": [], "lowest_score": 80},
    ]
