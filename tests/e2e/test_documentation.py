"""The built documentation in a browser, from a folder and without the network."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.browser import new_page
from tests.live.airflow_home import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "docs", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True)
    return folder


@pytest.fixture
def offline(browser: Browser) -> Iterator[Page]:
    """A page without the network, that asks for nothing but files."""
    page = new_page(browser)
    page.context.set_offline(True)
    wanted: list[str] = []
    page.on("request", lambda request: wanted.append(request.url))
    yield page
    page.context.close()
    assert [url for url in wanted if not url.startswith(("file:", "data:"))] == []


@pytest.mark.parametrize(
    ("words", "page"),
    [
        ("updated_after", "sensor.html"),
        ("RateLimitError", "api.html"),
        ("max_requests_per_second", "bulk.html"),
    ],
)
def test_the_search_finds_it(offline: Page, site: Path, words: str, page: str) -> None:
    offline.goto((site / "index.html").as_uri())
    box = offline.get_by_role("textbox", name="Search").first
    box.fill(words)
    box.press("Enter")
    # Results come in one after the other.
    expect(offline.locator("#search-results")).to_contain_text("Search finished")
    results = offline.locator("#search-results li a")
    found = {str(link.get_attribute("href")).partition("#")[0].partition("?")[0] for link in results.all()}
    assert page in found
    results.first.click()
    expect(offline.locator("article")).to_contain_text(words)


@pytest.mark.parametrize("width", [1280, 390], ids=["wide", "phone"])
def test_no_page_is_wider_than_the_window(offline: Page, site: Path, width: int) -> None:
    offline.set_viewport_size({"width": width, "height": 844})
    wider = []
    for page in sorted(site.glob("*.html")):
        offline.goto(page.as_uri())
        if offline.evaluate("document.documentElement.scrollWidth > innerWidth"):
            wider.append(page.name)
    assert wider == []
