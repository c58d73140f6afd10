from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager

import httpx
import pytest

from airflow_provider_zelto.emulator.__main__ import main

CALL = "c0ffee00-0000-4000-8000-000000000001"
PATH = f"/v1/conversations/{CALL}/customer-metrics"


@contextmanager
def emulator_process(*options):
    command = [sys.executable, "-m", "airflow_provider_zelto.emulator", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with process:
        try:
            yield process
        finally:
            process.kill()


def ready_url(process):
    line = process.stdout.readline()
    match = re.fullmatch(r"Zelto emulator listening on (http://\S+)\n", line)
    assert match, line
    return match[1]


def bearer(key):
    return {"Authorization": f"Bearer {key}"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_a_signal_and_ends_cleanly(number):
    with emulator_process("--port", "0", "--any-conversation") as process:
        url = ready_url(process)
        assert url.startswith("http://127.0.0.1:")
        with httpx.Client(base_url=url, trust_env=False) as client:
            assert client.get(PATH, headers=bearer("zelto-emulator-key")).json() == {"data": []}
            process.send_signal(number)
            output, errors = process.communicate(timeout=5)
    assert (process.returncode, output, errors) == (0, "", "")


def test_options_reach_the_emulator_and_keys_are_not_printed():
    options = ["--api-key", "first-key", "--api-key", "second-key", "--latency", "0.1", "--host", "0.0.0.0"]
    with emulator_process("--port", "0", *options) as process:
        url = ready_url(process).replace("0.0.0.0", "127.0.0.1")
        with httpx.Client(base_url=url, trust_env=False) as client:
            answers = [client.get(PATH, headers=bearer(key)) for key in ("first-key", "second-key")]
            assert [answer.status_code for answer in answers] == [404, 404]
            assert min(answer.elapsed.total_seconds() for answer in answers) >= 0.1
            assert client.get(PATH, headers=bearer("zelto-emulator-key")).status_code == 401
            # A second signal while the first is still being obeyed must not show a traceback.
            process.terminate()
            process.terminate()
            output, errors = process.communicate(timeout=5)
    assert process.returncode == 0
    assert errors.startswith("zelto-emulator: warning: 0.0.0.0 is not a loopback address")
    assert len(errors.splitlines()) == 1
    assert "-key" not in output + errors


def test_a_taken_port_is_one_clear_line(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["--port", str(port)]) == 1
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors == f"zelto-emulator: cannot listen on 127.0.0.1 port {port}: Address already in use\n"


def test_a_host_that_cannot_be_bound_is_one_clear_line(capsys):
    assert main(["--host", "203.0.113.1", "--port", "0"]) == 1
    warning, error = capsys.readouterr().err.splitlines()
    assert "not a loopback address" in warning
    assert error.startswith("zelto-emulator: cannot listen on 203.0.113.1 port 0: ")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--port", "70000"], "0 to 65535"),
        (["--api-key", "two words"], "API key"),
        (["--api-key", ""], "API key"),
    ],
)
def test_a_wrong_value_is_one_clear_line(capsys, options, says):
    assert main(options) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("zelto-emulator: ")
    assert says in line


@pytest.mark.parametrize(
    "options", [["--latency", "-1"], ["--latency", "inf"], ["--latency", "x"], ["--prot", "1"]]
)
def test_a_wrong_option_is_explained(capsys, options):
    with pytest.raises(SystemExit) as error:
        main(options)
    assert error.value.code == 2
    assert options[0] in capsys.readouterr().err


def test_the_defaults_are_in_the_help(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    for default in ("127.0.0.1", "8765", "zelto-emulator-key"):
        assert default in text


def test_a_missing_extra_is_one_clear_line(tmp_path):
    (tmp_path / "uvicorn.py").write_text("raise ModuleNotFoundError('No uvicorn', name='uvicorn')")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), os.getcwd()])}
    command = [sys.executable, "-m", "airflow_provider_zelto.emulator"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode == 1
    assert ended.stderr == (
        "zelto-emulator: The emulator needs uvicorn: pip install 'airflow-provider-zelto[emulator]'\n"
    )
