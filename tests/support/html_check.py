"""A strict reader of HTML: everything that is wrong with a page, as a list of words."""

from __future__ import annotations

from collections import Counter
from html.parser import HTMLParser

VOID = frozenset(["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"])
HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")


class HtmlReader(HTMLParser):
    """Collects mistakes: tags left open or closed wrongly, double ids, inputs without a label and so on."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.mistakes: list[str] = []
        self.ids: list[str] = []
        self.labels: list[str] = []
        self.inputs: list[dict[str, str | None]] = []
        self.links: list[str] = []
        self.references: list[str] = []
        self.text: list[str] = []
        self.tags: Counter[str] = Counter()
        self._open: list[str] = []
        self._heading = 0

    @property
    def words(self) -> str:
        """What there is to read, with single spaces."""
        return " ".join(" ".join(self.text).replace("\u00a0", " ").split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags[tag] += 1
        self._check(tag, attrs, given)
        if tag in HEADINGS:
            level = HEADINGS.index(tag) + 1
            if level > self._heading + 1:
                self.mistakes.append(f"{tag} follows a heading of level {self._heading}")
            self._heading = level
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self._check(tag, attrs, dict(attrs))

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open[-1] != tag:
            self.mistakes.append(f"</{tag}> closes {self._open[-1:]} at {self.getpos()}")
        if tag in self._open:
            while self._open.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in ("script", "style") and data.strip():
            self.mistakes.append(f"inline {self._open[-1]}")
        self.text.append(data)

    def _check(self, tag: str, attrs: list[tuple[str, str | None]], given: dict[str, str | None]) -> None:
        if len(given) != len(attrs):
            self.mistakes.append(f"<{tag}> has an attribute twice")
        for name in given:
            if name == "style" or name.startswith("on"):
                self.mistakes.append(f"<{tag}> has the attribute {name}")
        if given.get("id"):
            self.ids.append(str(given["id"]))
        if tag == "label":
            self.labels.append(str(given.get("for")))
        if tag == "input" and given.get("type") != "hidden":
            self.inputs.append(given)
        if tag == "a":
            self.links.append(str(given.get("href")))
        if tag in ("progress", "meter") and not given.get("aria-label"):
            self.mistakes.append(f"<{tag}> without a name")
        if tag == "img" and "alt" not in given:
            self.mistakes.append("<img> without alt")
        if given.get("role") == "img" and not given.get("aria-label"):
            self.mistakes.append("picture without a name")
        for name in ("aria-labelledby", "aria-describedby"):
            self.references += str(given[name]).split() if given.get(name) else []
        self.references += [str(given["for"])] if tag == "label" and given.get("for") else []


def read_html(html: str) -> HtmlReader:
    """Read a page and finish the list of its mistakes."""
    reader = HtmlReader()
    reader.feed(html)
    reader.close()
    reader.mistakes += [f"<{tag}> is never closed" for tag in reader._open]
    reader.mistakes += [f"id {name!r} {times} times" for name, times in Counter(reader.ids).items() if times > 1]
    reader.mistakes += [
        f"{name!r} is referred to and does not exist" for name in set(reader.references) - set(reader.ids)
    ]
    for given in reader.inputs:
        if given.get("id") not in reader.labels:
            reader.mistakes.append(f"input {given} without a label")
    for tag in ("html", "head", "title", "main", "h1"):
        if reader.tags[tag] != 1:
            reader.mistakes.append(f"<{tag}> {reader.tags[tag]} times")
    return reader
