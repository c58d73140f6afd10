"""What `make docs` calls a dead link."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.docs.dead_links import dead_links_of_paper, dead_links_of_site
from tests.docs.papers import ROOT


@pytest.fixture
def site(tmp_path):
    """A site of two pages, to which a test adds what it likes."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "other page.html").write_text('<h2 id="part">A part</h2><a name="old"></a>')
    (tmp_path / "picture.svg").write_text("<svg/>")

    def show(html, css=""):
        (tmp_path / "folder" / "page.html").write_text(f'<h1 id="top-of-page">Page</h1>{html}')
        (tmp_path / "style.css").write_text(css)
        return dead_links_of_site(tmp_path)

    return show


@pytest.mark.parametrize(
    "html",
    [
        '<a href="#top-of-page">',
        '<a href="#">',
        '<a href="../other%20page.html#part">',
        '<a href="../other%20page.html#old">',
        '<a href="../other%20page.html?q=part">',
        '<a href="https://example.com/nobody-asks">',
        '<a href="mailto:somebody@example.com">',
        '<link rel="stylesheet" href="../style.css?v=1">',
        '<link rel="canonical" href="https://example.com/page.html">',
        '<img src="../picture.svg" srcset="../picture.svg 1x, ../picture.svg 2x">',
        '<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">',
        "<style>h1 { background: url(../picture.svg) }</style>",
        "<style>/* url(https://example.com/a.png) */</style>",
    ],
)
def test_a_link_that_leads_somewhere_is_none(site, html):
    assert site(html) == []


@pytest.mark.parametrize(
    ("html", "link"),
    [
        ('<a href="gone.html">', "gone.html"),
        ('<a href="#gone">', "#gone"),
        ('<a href="../other%20page.html#gone">', "../other%20page.html#gone"),
        ('<a href="..">', ".."),
        ('<a href="../../outside.html">', "../../outside.html"),
        ('<img src="gone.png" alt="">', "gone.png"),
        ('<img src="../picture.svg" srcset="gone.png 2x">', "gone.png"),
        ('<img src="https://example.com/badge.svg">', "https://example.com/badge.svg"),
        ('<script src="//example.com/search.js"></script>', "//example.com/search.js"),
        ('<link rel="preload stylesheet" href="https://example.com/a.css">', "https://example.com/a.css"),
        ('<div style="background: url(https://example.com/a.png)">', "https://example.com/a.png"),
        ('<style>@import "https://example.com/a.css";</style>', "https://example.com/a.css"),
        ('<svg><use href="#gone"></use></svg>', "#gone"),
        ('<form action="gone.html"></form>', "gone.html"),
    ],
)
def test_a_dead_link_is_named_with_its_page(site, html, link):
    assert site(html) == [f"folder/page.html: {link}"]


@pytest.mark.parametrize("link", ["gone.woff2", "https://example.com/font.woff2"])
def test_style_sheets_are_read_too(site, link):
    assert site("", css=f"@font-face {{ src: url('{link}') }}") == [f"style.css: {link}"]


@pytest.fixture
def paper(tmp_path):
    (tmp_path / "other.md").write_text("# The `call_url` of a call\n\n## Twice\n\n## Twice\n")

    def write(text):
        file = tmp_path / "paper.md"
        file.write_text(f"# A paper\n\n{text}\n")
        return dead_links_of_paper(file)

    return write


@pytest.mark.parametrize(
    "text",
    [
        "[a](other.md) [b](other.md#the-call_url-of-a-call) [c](#a-paper) [](other.md#twice-1)",
        "[a](https://example.com) and `[code](gone.md)`",
        "```\n[code](gone.md)\n```",
        "[a]\n\n[a]: other.md",
    ],
)
def test_a_paper_may_link_to_what_is_there(paper, text):
    assert paper(text) == []


@pytest.mark.parametrize(
    ("text", "link"),
    [
        ("[a](gone.md)", "gone.md"),
        ("![a](gone.png)", "gone.png"),
        ("[a](other.md#gone)", "other.md#gone"),
        ("[a](other.md#twice-2)", "other.md#twice-2"),
        ("[a](#gone)", "#gone"),
        ("```bash\n# gone\n```\n[a](#gone)", "#gone"),
        ("[a]\n\n[a]: gone.md", "gone.md"),
        ('<img width="10" src="gone.png">', "gone.png"),
    ],
)
def test_a_dead_link_of_a_paper_is_named(paper, text, link):
    assert paper(text) == [link]


@pytest.mark.parametrize(("link", "status"), [("#part", 0), ("#gone", 1)])
def test_the_command_fails_where_a_link_is_dead(tmp_path, link, status):
    (tmp_path / "page.html").write_text(f'<h1 id="part">Page</h1><a href="{link}">')
    command = [sys.executable, "-m", "tests.docs.dead_links", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, "page.html: #gone" in done.stderr) == (status, bool(status))
