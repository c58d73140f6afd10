"""
Dead links: in the built documentation, and in the papers as they are read in the repository.

``python -m tests.docs.dead_links docs/_build/html`` names them all, and fails if there are any.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tests.docs.papers import PAPERS, ROOT

_FETCHED = {"src", "srcset", "poster", "data"}
_FETCHED_LINKS = {"stylesheet", "icon", "preload", "modulepreload", "prefetch", "manifest"}
_CSS = re.compile(r"""url\(\s*["']?([^"')]+)|@import\s+["']([^"']+)""")
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)

_FENCE = re.compile(r"^( *)(```+|:::+).*?^\1\2$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
_IN_TEXT = re.compile(
    r"""\]\(\s*<?([^)\s>]+)|^\[[^\]]+\]:\s*(\S+)|<(?:a|img)\b[^>]*?\b(?:href|src)="([^"]+)""", re.MULTILINE
)
_HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)


class Page(HTMLParser):
    """A page of HTML: the ids in it, what it links to, and what a browser fetches to show it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self._in_style = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value for name, value in attrs if value is not None}
        self.ids |= {values[name] for name in ("id", *(["name"] if tag == "a" else [])) if name in values}
        self._in_style = tag == "style"
        self.fetched += _in_css(values.get("style", ""))
        for name, value in values.items():
            if name in _FETCHED:
                self.fetched += (
                    [part.split()[0] for part in value.split(",")] if name == "srcset" else [value]
                )
            elif name in ("href", "xlink:href", "action"):
                fetches = tag in ("use", "image") or bool({*values.get("rel", "").split()} & _FETCHED_LINKS)
                (self.fetched if fetches else self.links).append(value)

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self.fetched += _in_css(data)

    def handle_endtag(self, tag: str) -> None:
        self._in_style = False


def _in_css(text: str) -> list[str]:
    return [quoted or plain for plain, quoted in _CSS.findall(_COMMENT.sub("", text))]


@cache
def _page(path: Path) -> Page:
    return Page(path.read_text())


def dead_links_of_site(site: Path) -> list[str]:
    """Name what a built site links to and does not have, and what it fetches from elsewhere."""
    site, found = site.resolve(), []
    for path in sorted(site.rglob("*.html")):
        page = _page(path)
        found += _told(path, site, (link for link in page.links if not _leads(path, link, site)))
        found += _told(path, site, (link for link in page.fetched if not _is_at_hand(path, link, site)))
    for path in sorted(site.rglob("*.css")):
        links = _in_css(path.read_text())
        found += _told(path, site, (link for link in links if not _is_at_hand(path, link, site)))
    return found


def _told(path: Path, root: Path, links: Iterable[str]) -> Iterator[str]:
    yield from (f"{path.relative_to(root)}: {link}" for link in links)


def _is_at_hand(path: Path, link: str, site: Path) -> bool:
    """Tell whether a browser gets it without asking another host."""
    parts = urlsplit(link)
    return parts.scheme == "data" or (not parts.scheme and not parts.netloc and _leads(path, link, site))


def _leads(path: Path, link: str, site: Path) -> bool:
    """Tell whether a link leads somewhere, as far as that can be known without the network."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return True
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if not target.is_file() or not target.is_relative_to(site):
        return False
    return parts.fragment in ("", "top") or unquote(parts.fragment) in _page(target).ids


def dead_links_of_paper(paper: Path) -> list[str]:
    """Name the files and the headings that a paper links to and that are not in the repository."""
    text = _CODE.sub("", _FENCE.sub("", paper.read_text()))
    links = ["".join(groups) for groups in _IN_TEXT.findall(text)]
    return [link for link in links if not _leads_in_repository(paper, link)]


def _leads_in_repository(paper: Path, link: str) -> bool:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return True
    target = paper.parent / unquote(parts.path) if parts.path else paper
    if not target.exists():
        return False
    return not parts.fragment or target.suffix != ".md" or parts.fragment in anchors(target)


@cache
def anchors(paper: Path) -> set[str]:
    """Give the anchors of a paper's headings, as GitHub and MyST make them."""
    found: dict[str, int] = {}
    for heading in _HEADING.findall(_FENCE.sub("", paper.read_text())):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        anchor = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        found[anchor] = found.get(anchor, -1) + 1
        if found[anchor]:
            found[f"{anchor}-{found[anchor]}"] = 0
    return {*found}


def main(site: Path) -> int:
    """Print all dead links and give the exit status."""
    dead = dead_links_of_site(site)
    for paper in PAPERS:
        dead += _told(paper, ROOT, dead_links_of_paper(paper))
    for line in dead:
        print(f"dead link: {line}", file=sys.stderr)
    return 1 if dead else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
