from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from airflow_provider_zelto.emulator import Emulator
from tests.e2e.runs import Run
from tests.live.local_airflow import LocalAirflow


@pytest.mark.parametrize("task", ["submit", "wait", "list"])
def test_a_click_on_a_task_opens_its_call(
    page: Page, zelto: Emulator, airflow: LocalAirflow, trigger: Callable[..., Run], task: str
) -> None:
    call = zelto.add_conversation()
    run = trigger("example_zelto", conversation_id=call)
    assert run.end() == "success"
    page.goto(f"{airflow.home.url}/dags/{run.dag_id}/runs/{run.run_id}/tasks/{task}/details")
    link = page.get_by_role("link", name="Open call in Zelto")
    expect(link).to_have_attribute("href", f"{zelto.url}/?call={call}")
    with page.expect_popup() as popup:
        link.click()
    article = popup.value.get_by_role("article").filter(has_text=call)
    expect(article.get_by_role("row").filter(has_text="Compliance Check")).to_be_visible()


def test_each_mapped_task_has_the_link_to_its_own_call(
    page: Page, zelto: Emulator, airflow: LocalAirflow, trigger: Callable[..., Run]
) -> None:
    calls = [zelto.add_conversation() for _ in range(2)]
    run = trigger("e2e_mapped", conversation_ids=calls)
    assert run.end() == "success"
    for number, call in enumerate(calls):
        page.goto(
            f"{airflow.home.url}/dags/{run.dag_id}/runs/{run.run_id}/tasks/submit/mapped/{number}/details"
        )
        link = page.get_by_role("link", name="Open call in Zelto")
        expect(link).to_have_attribute("href", f"{zelto.url}/?call={call}")
