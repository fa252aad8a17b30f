"""The page: self-contained, escaped, readable."""

from html.parser import HTMLParser

import pytest

from labonn.report import Page, flatten, show


class Reader(HTMLParser):
    """Collects tags, what they refer to, and the text."""

    def __init__(self):
        super().__init__()
        self.tags, self.references, self.words = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.references += [value for name, value in attributes if name in ("src", "href", "data", "srcset", "action")]

    def handle_data(self, data):
        self.words.append(data)


def read(page):
    reader = Reader()
    reader.feed(page.html())
    return reader


def whole_page():
    page = Page('<script>alert("title")</script>')
    page.heading("<b>heading")
    page.text("<img src=http://x>")
    page.banner("bad", "<i>")
    page.command("<tt>")
    page.table([{"<u>": "</td>"}, {"b": 1.5}], caption="<s>")
    page.facts({"<k>": "<v>"})
    page.figure(b"\x89PNG", '"><a href="http://x">', "<em>")
    page.folded("<q>", {"<z>": [1, None]})
    return page


def test_nothing_is_asked_for_from_anywhere():
    reader = read(whole_page())
    assert len(reader.references) == 1
    assert reader.references[0].startswith("data:image/png;base64,")
    assert not {"script", "link", "iframe", "a"} & set(reader.tags)
    assert "http" not in whole_page().html().replace("&lt;img src=http://x&gt;", "").replace("http://x&quot;&gt;", "")


def test_every_text_is_escaped():
    tags = set(read(whole_page()).tags)
    assert not {"b", "i", "u", "s", "k", "v", "em", "q", "z"} & tags


def test_columns_are_those_of_all_rows():
    page = Page("t")
    page.table([{"name": "none", "%": 80.0}, {"name": "ntkd", "s": 3}])
    words = "".join(read(page).words)
    for word in ("name", "%", "s", "none", "80", "ntkd", "3", "\u2013"):
        assert word in words


def test_a_page_is_written_in_utf8(tmp_path):
    page = Page("\u03bb = 532 nm")
    page.write(tmp_path / "report.html")
    assert "\u03bb = 532 nm" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "\u2013"), (True, "yes"), (97.33333, "97.33"), (0.000123456, "0.0001235"), (123456.7, "123457"), (5, "5"),
     ({"a": 1.0, "b": False}, "a 1, b no"), ([1, 2.5], "1, 2.5"), ("x", "x")],
)  # fmt: skip
def test_values_are_shown_for_people(value, text):
    assert show(value) == text


def test_nested_facts_get_one_line_each():
    assert flatten({"accuracy": {"before": 80, "after": {"x": 1}}, "empty": {}}) == {
        "accuracy.before": 80,
        "accuracy.after.x": 1,
        "empty": {},
    }
