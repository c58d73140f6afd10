from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import metadata
from pathlib import Path

import pytest

from airflow_provider_zelto.connection import client_settings
from airflow_provider_zelto.hooks.zelto import ZeltoHook
from airflow_provider_zelto.services import ZELTO
from tests.docs.dead_links import dead_links_of_paper
from tests.docs.papers import PAPERS, ROOT, commands, words_of


@pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: paper.name)
def test_links_lead_somewhere(paper):
    assert dead_links_of_paper(paper) == []


@pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: paper.name)
def test_links_have_words_where_no_site_gives_them_any(paper):
    assert re.findall(r"(?<!!)\[\]\(.*?\)", paper.read_text()) == []


@pytest.mark.parametrize("command", commands("make "))
def test_make_knows_every_target_that_is_named(command):
    targets = [word for word in words_of(command)[1:] if "=" not in word]
    declared = re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {*targets} <= {*declared}


@pytest.mark.parametrize("command", commands("pip install"))
def test_pip_is_asked_for_extras_that_exist(command):
    named = re.findall(r"airflow-provider-zelto\[([\w,]+)\]", command)
    declared = metadata("airflow-provider-zelto").get_all("Provides-Extra") or []
    assert {extra for group in named for extra in group.split(",")} <= {*declared}


@pytest.mark.parametrize("command", commands("export AIRFLOW_CONN_ZELTO"))
def test_every_connection_in_an_environment_variable_can_be_used(command, monkeypatch):
    [(name, value)] = [word.split("=", 1) for word in words_of(command)[1:]]
    monkeypatch.setenv(name, value)
    conn_id = name.removeprefix("AIRFLOW_CONN_").lower()
    assert ZeltoHook(conn_id).get_settings().api_key


@pytest.mark.usefixtures("airflow_db")
@pytest.mark.parametrize("command", commands("airflow connections add"))
def test_every_connection_made_on_the_command_line_can_be_used(command):
    from airflow.models import Connection
    from airflow.utils.session import create_session

    parsed = _parse([word.replace("$ZELTO_API_KEY", "a-key") for word in words_of(command)])
    with create_session() as session:
        session.query(Connection).filter_by(conn_id=parsed.conn_id).delete()
    parsed.func(parsed)
    with create_session() as session:
        stored = session.query(Connection).filter_by(conn_id=parsed.conn_id).one()
        settings = client_settings(ZELTO, stored, stored.extra_dejson)
        session.delete(stored)
    assert settings.api_key == "a-key"


def _parse(words):
    from airflow.cli.cli_parser import get_parser

    return get_parser().parse_args(words[1:])


@pytest.mark.parametrize("command", commands("airflow "))
def test_airflow_knows_every_command_that_is_named(command):
    assert callable(_parse(words_of(command)).func)


@pytest.mark.parametrize("command", commands("zelto-emulator"))
def test_the_emulator_knows_every_option_that_is_named(command):
    program, *words = words_of(command)
    path = Path(sys.executable).with_name(program)
    answer = subprocess.run([path, "--help"], capture_output=True, text=True, check=True)
    assert [word for word in words if word.startswith("-") and word not in answer.stdout] == []
