"""What a page says, read by the standard library's parser."""

from html import parser

_VOID = {"meta", "img", "br", "link", "base", "input"}


class Page(parser.HTMLParser):
    """Tags, attributes, text and tables of a page."""

    def __init__(self, text):
        """Reads all of it; a ValueError for a tag that is not closed in its place."""
        super().__init__()
        self.tags, self.attributes, self.policy, self.title = [], [], "", ""
        self.tables, self.tiles, self.captions, self.texts = [], {}, [], []
        self._open = []
        self.feed(text)
        self.close()
        if self._open:
            raise ValueError(f"left open: {self._open}")

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        named = dict(attrs)
        if named.get("http-equiv") == "Content-Security-Policy":
            self.policy = named["content"]
        if tag not in _VOID:
            self._open.append(tag)
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")
        if tag == "dt":
            self._label = ""
        if tag == "figcaption":
            self.captions.append("")

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        if self._open.pop() != tag:
            raise ValueError(f"</{tag}> closes another")

    def handle_data(self, data):
        if {"style", "script"} & set(self._open):
            return
        self.texts.append(data)
        if "title" in self._open:
            self.title += data
        if {"td", "th"} & set(self._open):
            joint = " | " if "small" in self._open else ""
            self.tables[-1][-1][-1] += joint + data
        if "dt" in self._open:
            self._label += data
        if "dd" in self._open:
            self.tiles.setdefault(self._label, []).append(data)
        if "figcaption" in self._open:
            self.captions[-1] += data

    @property
    def text(self):
        """All of it."""
        return "".join(self.texts)

    def row(self, first):
        """The rows of tables whose first cell begins so."""
        return [
            row for table in self.tables for row in table if row[0].startswith(first)
        ]
