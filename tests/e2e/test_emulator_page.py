from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, expect

from airflow_provider_zelto.emulator import Emulator
from tests.e2e.conftest import KEY
from tests.e2e.runs import Run


def test_the_emulators_page_shows_the_metrics_of_a_dag_while_it_runs(
    page: Page, zelto: Emulator, trigger: Callable[..., Run]
) -> None:
    call = zelto.add_conversation()
    page.goto(zelto.url)
    article = page.get_by_role("article").filter(has_text=call)
    expect(article).to_contain_text("No metrics yet.")
    run = trigger("example_zelto", conversation_id=call)
    # Nobody reloads it: the page follows by itself.
    [row] = [article.get_by_role("row").filter(has_text="Compliance Check")]
    for text in ("pass", "75", "Missed: asks whether anything is left"):
        expect(row).to_contain_text(text)
    assert run.end() == "success"
    expect(page.locator("body")).to_contain_text(f"/v1/conversations/{call}/customer-metrics")
    assert KEY not in page.content()
