from __future__ import annotations

import pytest

from tests.emulator.zelto_client import KEY


@pytest.mark.parametrize(
    ("path", "service"),
    [
        ("/v1/x", "zelto"),
        ("/roark/v1/x", "roark"),
        ("/roark/", "roark"),
        ("/coval/v1/x", "coval"),
        ("/roark", "zelto"),
        ("/roarks/v1/x", "zelto"),
        ("/x/roark/v1/x", "zelto"),
        ("//roark/v1/x", "zelto"),
    ],
)
def test_a_service_takes_the_paths_below_its_own_and_zelto_all_others(web, emulator, path, service):
    headers = {"Authorization": f"Bearer {KEY}", "x-api-key": KEY}
    answer = web.get(f"{emulator.url}{path}", headers=headers)
    assert answer.status_code == 404
    [entry] = emulator.journal()
    assert (entry["service"], entry["path"]) == (service, path)


def test_one_key_opens_every_service(web, emulator, roark, coval):
    assert roark(emulator.roark.add_chat()).status_code == 200
    assert coval(emulator.coval.add_conversation()).status_code == 200


def test_a_latency_is_waited_before_the_answer_of_each_service(emulator, roark, coval):
    chat, conversation = emulator.roark.add_chat(), emulator.coval.add_conversation()
    emulator.settings(latency=0.15)
    for answer in (roark(chat), coval(conversation)):
        assert answer.elapsed.total_seconds() >= 0.15


def test_a_fault_aimed_at_one_service_spares_the_others(emulator, roark, coval, zelto):
    chat, conversation = emulator.roark.add_chat(), emulator.coval.add_conversation()
    for service in ("roark", "coval"):
        emulator.fault(service=service, status=503)
        answers = {"roark": roark(chat), "coval": coval(conversation), "zelto": zelto.list()}
        struck = {name for name, answer in answers.items() if answer.status_code == 503}
        assert struck == {service}
        emulator.clear_faults()
