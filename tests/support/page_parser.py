"""Elements, attributes and text of an HTML page."""

from html.parser import HTMLParser

VOID = {"meta", "img", "br", "link"}


class Page(HTMLParser):
    """A page as its parts; refuses tags that do not match."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.texts, self.by_tag = [], [], [], {}
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)
        if self.open:
            self.by_tag.setdefault(self.open[-1], []).append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]

    def texts_of(self, tag):
        """The texts that stand directly in elements of a kind."""
        return self.by_tag.get(tag, [])
