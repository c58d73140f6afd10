"""A headless Chromium, and Airflow's connection form as a person fills it in."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from tests.live.processes import LiveError, wait_until

_NAMES = ("chromium", "chromium-browser")
_PATIENCE = 30_000.0  # milliseconds; the first page takes long on a busy machine
_SECTIONS = ("Standard Fields", "Extra Fields")
VIEWPORT = {"width": 1200, "height": 820}


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the system's Chromium for the length of a block."""
    path = next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None:
        raise LiveError("Chromium is missing: install Debian's package chromium, or run `make e2e`.")
    # Chromium refuses its sandbox to root, as whom containers run.
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*sandbox, "--disable-dev-shm-usage"])
        try:
            yield browser
        finally:
            browser.close()


def new_page(browser: Browser, **options: object) -> Page:
    """Open an empty page in a context of its own, in English and in light colours."""
    context = browser.new_context(
        viewport={"width": VIEWPORT["width"], "height": VIEWPORT["height"]},
        locale="en-US",
        color_scheme="light",
        **options,  # type: ignore[arg-type]
    )
    context.set_default_timeout(_PATIENCE)
    expect.set_options(timeout=_PATIENCE)
    return context.new_page()


class Connections:
    """
    Airflow's page of connections.

    :param page: the page of the browser.
    :param url: where Airflow's UI answers.
    """

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self._url = f"{url}/connections"

    def add(self, conn_id: str, connection_type: str) -> ConnectionForm:
        """Open the form for a new connection."""
        self.page.goto(self._url)
        self.page.get_by_role("button", name="Add Connection").click()
        form = ConnectionForm(self.page.get_by_role("dialog"))
        form.box.get_by_label("Connection ID").fill(conn_id)
        kind = form.box.get_by_role("combobox")
        kind.fill(connection_type)
        form.box.get_by_role("option", name=connection_type, exact=True).click()
        return form

    def edit(self, conn_id: str) -> ConnectionForm:
        """Open the form of a connection that is there, on a page that has been loaded anew."""
        self.page.goto(self._url)
        self.row(conn_id).get_by_role("button", name="Edit Connection").click()
        form = ConnectionForm(self.page.get_by_role("dialog"))
        expect(form.box.get_by_label("Connection ID")).to_have_value(conn_id)
        return form

    def test(self, conn_id: str) -> tuple[int, Mapping[str, object]]:
        """Press the button that tests a connection; give status and content of the answer."""
        self.page.goto(self._url)
        with self.page.expect_response("**/connections/test") as answer:
            self.row(conn_id).get_by_role("button", name="Test Connection").click()
        return answer.value.status, answer.value.json()

    def row(self, conn_id: str) -> Locator:
        """Give the row of a connection in the list."""
        return self.page.get_by_role("row").filter(
            has=self.page.get_by_role("cell", name=conn_id, exact=True)
        )


class ConnectionForm:
    """The form of one connection, as long as it is open; :attr:`box` is the dialog around it."""

    def __init__(self, box: Locator) -> None:
        self.box = box

    def labels(self) -> list[str]:
        """Give the labels of all fields that a person can see, section after section."""
        return [label for section in _SECTIONS for label in self._labels_of(section)]

    def _labels_of(self, section: str) -> list[str]:
        part = self._open(section)
        return [text.strip() for text in part.locator("label").all_inner_texts()]

    def field(self, label: str) -> Locator:
        """Give the field with a label, its section opened."""
        for section in _SECTIONS:
            part = self._open(section)
            found = part.get_by_label(label, exact=False).and_(part.locator("input, textarea"))
            if found.count():
                return found
        raise LiveError(f"The form has no field {label!r}.")

    def fill(self, values: Mapping[str, str]) -> None:
        """Fill in fields by their labels."""
        for label, value in values.items():
            self.field(label).fill(value)

    def expect(self, values: Mapping[str, str]) -> None:
        """Wait until the fields with these labels have these values."""
        for label, value in values.items():
            expect(self.field(label)).to_have_value(value)

    def reveal(self, label: str) -> None:
        """Press the eye of a masked field until it is open: a form that still arranges itself forgets it."""
        field = self.field(label)
        eye = self.box.get_by_role("button", name="Show value")

        def is_open() -> bool:
            if field.get_attribute("type") == "text":
                return True
            eye.click()
            return False

        wait_until(is_open, what="The showing of a value", timeout=30)

    def save(self) -> None:
        """Save, and wait until Airflow has taken it."""
        self.box.get_by_role("button", name="Save").click()
        expect(self.box).to_be_hidden()

    def _open(self, section: str) -> Locator:
        """Open a section, which closes the others, and give it once it is there to be seen."""
        header = self.box.get_by_role("button", name=section, exact=True)
        if header.get_attribute("aria-expanded") != "true":
            header.click()
        part = self.box.locator(f'[id="{header.get_attribute("aria-controls")}"]')
        expect(part.locator("label").first).to_be_visible()
        return part
