from __future__ import annotations

import json
import subprocess
import sys
import time
from uuid import UUID

import httpx
import pytest

import airflow_provider_zelto.emulator as package
from airflow_provider_zelto.emulator import Emulator
from airflow_provider_zelto.emulator.faults import FaultArguments, FaultSpec
from airflow_provider_zelto.emulator.settings import Settings, SettingsArguments
from tests.emulator.zelto_client import KEY

CALL = "c0ffee00-0000-4000-8000-000000000001"


def is_up(url):
    try:
        return httpx.get(f"{url}/_emulator/health", trust_env=False).is_success
    except httpx.ConnectError:
        return False


def test_it_serves_for_the_length_of_a_with_block():
    started = time.monotonic()
    with Emulator() as emulator:
        assert time.monotonic() - started < 0.5
        assert is_up(emulator.url)
    assert not is_up(emulator.url)


def test_two_emulators_stand_beside_each_other():
    with Emulator() as one, Emulator() as other:
        assert one.url != other.url
        one.add_conversation(CALL)
        assert other.conversations() == []


def test_a_stopped_emulator_keeps_its_port_and_its_calls_for_the_next_start():
    with Emulator() as emulator:
        url = emulator.url
        emulator.add_conversation(CALL)
        emulator.stop()
        emulator.stop()
        assert not is_up(url)
        emulator.start()
        assert emulator.url == url
        assert is_up(url)
        assert [call["id"] for call in emulator.conversations()] == [CALL]


def test_it_cannot_be_started_twice(emulator):
    with pytest.raises(RuntimeError, match=emulator.url):
        emulator.start()


def test_a_taken_port_is_an_error(emulator):
    port = int(emulator.url.rpartition(":")[2])
    with pytest.raises(OSError, match="in use"):
        Emulator(port=port).start()


def test_a_stop_before_a_start_is_nothing():
    Emulator().stop()


def test_a_server_that_dies_at_its_start_is_an_error(monkeypatch):
    async def end_at_once(self, sockets):
        pass

    monkeypatch.setattr("uvicorn.Server.serve", end_at_once)
    with pytest.raises(RuntimeError, match="did not start"):
        Emulator().start()


def test_the_connection_is_what_airflow_reads_from_the_environment(emulator):
    connection = json.loads(emulator.connection_json())
    assert connection == {"conn_type": "zelto", "host": emulator.url, "password": KEY}
    for service in ("roark", "coval"):
        connection = json.loads(emulator.connection_json(service))
        assert connection == {"conn_type": service, "host": f"{emulator.url}/{service}", "password": KEY}
    with pytest.raises(ValueError, match="only zelto, roark, coval"):
        emulator.connection_json("nothing")


def test_several_keys_are_accepted_and_the_first_is_shown():
    assert Emulator(api_keys=["one-key", "other-key"]).api_key == "one-key"
    assert Emulator(api_keys="only-key").api_key == "only-key"
    assert Emulator().api_key == "zelto-emulator-key"


@pytest.mark.parametrize("keys", [[], "", ["a", ""], "two words", "schlüssel", "line\n"])
def test_a_key_that_no_header_could_carry_is_refused(keys):
    with pytest.raises(ValueError, match="API key"):
        Emulator(api_keys=keys)


def test_the_start_settings_are_those_a_reset_goes_back_to():
    emulator = Emulator(any_conversation=True, nulls="null", metric_ids=[CALL])
    start = emulator.settings()
    assert start["any_conversation"]
    assert start["metric_ids"] == [CALL]
    assert emulator.settings(any_conversation=False) == start | {"any_conversation": False}
    emulator.reset()
    assert emulator.settings() == start


def test_wrong_arguments_are_value_errors_and_unknown_calls_lookup_errors(emulator, call):
    for wrong in (
        lambda: Emulator(latency=-1),
        lambda: Emulator(port=65536),
        lambda: emulator.add_conversation("x"),
        lambda: emulator.add_conversation(call),
        lambda: emulator.add_metric(call, "a"),
        lambda: emulator.settings(nulls="none"),
        lambda: emulator.fault(service="nothing", status=500),
        lambda: emulator.journal(limit=-1),
    ):
        with pytest.raises(ValueError):  # noqa: PT011 - the messages have tests of their own
            wrong()
    for unknown in (CALL, "x"):
        with pytest.raises(LookupError, match=unknown):
            emulator.metrics(unknown)
        with pytest.raises(LookupError, match=unknown):
            emulator.add_metric(unknown, "a", score=1)


def test_metrics_are_what_the_api_lists(emulator, zelto):
    emulator.add_metric(zelto.call, "a", verdict="pass", score=0, note="n", metric_id=CALL, external_id="e")
    assert emulator.metrics(zelto.call) == zelto.list().json()["data"]
    assert emulator.metrics(zelto.call.upper()) == emulator.metrics(zelto.call)
    assert emulator.conversations()[0]["metrics"] == emulator.metrics(zelto.call)


def test_a_metric_for_a_call_nobody_added_needs_every_uuid_to_be_a_call(emulator):
    emulator.settings(any_conversation=True)
    assert emulator.metrics(CALL) == []
    emulator.add_metric(CALL, "a", score=1)
    [metric] = emulator.metrics(CALL)
    assert UUID(metric["agentId"])


@pytest.mark.parametrize("host", ["0.0.0.0", "example.invalid", "::"])
def test_a_host_others_can_reach_warns(host):
    with pytest.warns(UserWarning, match="not a loopback address"):
        Emulator(host=host)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_a_loopback_host_serves_without_a_warning(host, recwarn):
    with Emulator(host=host) as emulator:
        assert is_up(emulator.url)
    assert not recwarn.list


@pytest.mark.parametrize(("arguments", "model"), [(SettingsArguments, Settings), (FaultArguments, FaultSpec)])
def test_keyword_arguments_and_http_fields_are_the_same(arguments, model):
    assert arguments.__annotations__.keys() == model.model_fields.keys()


def test_the_package_has_nothing_else():
    with pytest.raises(AttributeError, match="Emulatr"):
        package.Emulatr  # noqa: B018


def run_python(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=False
    )


def test_a_missing_extra_is_named_when_the_handle_is_imported():
    ended = run_python(
        "import sys; sys.modules['starlette'] = None\n"
        "import airflow_provider_zelto.emulator\n"
        "from airflow_provider_zelto.emulator import Emulator"
    )
    assert ended.returncode == 1
    last = ended.stderr.splitlines()[-1]
    assert "The emulator needs starlette" in last
    assert "pip install 'airflow-provider-zelto[emulator]'" in last


def test_it_imports_nothing_of_airflow_or_of_the_rest_of_the_package():
    ended = run_python(
        "import sys\n"
        "from airflow_provider_zelto.emulator import Emulator\n"
        "Emulator().start()\n"
        "import airflow_provider_zelto.emulator.__main__\n"
        "ours = {m for m in sys.modules if m.startswith('airflow_provider_zelto.')}\n"
        "print(sorted(m for m in ours if not m.startswith('airflow_provider_zelto.emulator')))\n"
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'airflow', 'httpx', 'requests', 'aiohttp'}))"
    )
    assert (ended.stdout, ended.stderr) == ("[]\n[]\n", "")
