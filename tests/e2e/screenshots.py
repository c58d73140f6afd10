"""The pictures in the documentation, taken from a real Airflow and a local Zelto (``make screenshots``)."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import Browser, Locator, Page, expect

from airflow_provider_zelto.emulator import Emulator
from tests.e2e.browser import Connections, chromium, new_page
from tests.e2e.runs import Run
from tests.live.airflow_home import ROOT, AirflowHome
from tests.live.local_airflow import LocalAirflow, local_airflow
from tests.live.processes import LiveError, die_politely, free_port

_IMAGES = ROOT / "docs" / "images"
_LARGEST = 150_000  # bytes
_DAG = "example_zelto"
_KEY = "zelto-emulator-key"


def main() -> int:
    """Take all pictures and give the exit status."""
    die_politely()
    folder = Path(tempfile.mkdtemp(prefix="zelto-screenshots-"))
    try:
        with Emulator(api_keys=_KEY) as zelto, local_airflow(_home(folder, zelto)) as airflow:
            run = _fill(airflow, zelto)
            with chromium() as browser:
                _take_all(browser, airflow, zelto, run)
    except LiveError as error:
        print(f"\nscreenshots failed: {error}\nLogs are kept in {folder}", file=sys.stderr)
        return 1
    shutil.rmtree(folder)
    return 0


def _home(folder: Path, zelto: Emulator) -> AirflowHome:
    dags = folder / "dags"
    dags.mkdir()
    shutil.copy(ROOT / "example_dags" / f"{_DAG}.py", dags)
    connection = {"conn_type": "zelto", "host": zelto.url, "password": _KEY}
    return AirflowHome(folder / "airflow", free_port(), dags, {"zelto_default": connection})


def _fill(airflow: LocalAirflow, zelto: Emulator) -> Run:
    """Run the example and let others submit something too."""
    airflow.wait_for_dag(_DAG)
    calls = [zelto.add_conversation() for _ in range(2)]
    run = Run.start(airflow.api, _DAG, {"conversation_id": calls[1]})
    if run.end() != "success":
        raise LiveError(f"The run of {_DAG} failed: {dict(run.seen)}")
    zelto.add_metric(calls[0], "Empathy", score=41, verdict="fail", note="Interrupts the caller twice")
    zelto.add_metric(calls[0], "Resolution", score=88, verdict="pass")
    zelto.add_metric(calls[1], "Consent", verdict="pass", after=600)
    return run


def _take_all(browser: Browser, airflow: LocalAirflow, zelto: Emulator, run: Run) -> None:
    pictures: dict[str, Callable[[Page], Page | Locator]] = {
        "connection-form": lambda page: _form(page, airflow.home.url),
        "dag-graph": lambda page: _graph(page, airflow.home.url, run),
        "emulator-page": lambda page: _emulator(page, zelto),
    }
    _IMAGES.mkdir(exist_ok=True)
    for name, show in pictures.items():
        page = new_page(browser, reduced_motion="reduce")
        shown = show(page)
        if _KEY in page.content():
            raise LiveError(f"The API key is on the page of {name}.")
        path = _IMAGES / f"{name}.png"
        shown.screenshot(path=path, animations="disabled")
        page.context.close()
        if (size := path.stat().st_size) > _LARGEST:
            raise LiveError(f"{path} has {size} bytes, which is too much for a page of text.")
        print(f"{path.relative_to(ROOT)}  {size / 1000:.0f} kB")


def _form(page: Page, url: str) -> Locator:
    form = Connections(page, url).add("zelto_default", "Zelto")
    # Whatever has the focus has a frame around it.
    form.box.get_by_role("heading", name="Add Connection").click()
    return form.box


def _graph(page: Page, url: str, run: Run) -> Page:
    page.set_viewport_size({"width": 1200, "height": 560})
    page.goto(f"{url}/dags/{run.dag_id}/runs/{quote(run.run_id, safe='')}")
    page.get_by_role("button", name="Show Graph").click()
    page.get_by_role("button", name="Collapse Details Panel").click()
    # The graph was laid out beside the panel that is closed now.
    page.get_by_role("button", name="Fit View").click()
    for task in ("score_call", "submit", "wait", "list", "report"):
        expect(page.get_by_test_id("rf__wrapper").get_by_text(task, exact=True)).to_be_visible()
    return page


def _emulator(page: Page, zelto: Emulator) -> Page:
    page.set_viewport_size({"width": 1100, "height": 930})
    page.goto(zelto.url)
    expect(page.get_by_text("Interrupts the caller twice")).to_be_visible()
    return page


if __name__ == "__main__":
    sys.exit(main())
