"""The HTML document round a page's blocks: bare, or with the clutter of an ordinary site."""

import html
from collections.abc import Sequence

from aepo_env.worlds.web.markup import Block, html_of

_NAVIGATION = (
    '<nav><a class="logo" href="/">The Atlas</a><form action="/search"><input name="q" placeholder="Search"></form>'
    '<ul><li><a href="/start">Start</a></li><li><a href="/news">News</a></li>'
    '<li><a href="/random">Random page</a></li><li><a href="/help">Help</a></li></ul></nav>'
)
_FOOTER = (
    '<footer><p>The Atlas is written by volunteers.</p><a href="/terms">Terms</a> <a href="/privacy">Privacy</a>'
    "</footer>\n<script>window.visits = (window.visits || 0) + 1;</script>"
)
_STYLE = "<style>body { font-family: serif } .infobox { float: right }</style>"


def document(title: str, blocks: Sequence[Block], *, clutter: bool) -> str:
    """A whole HTML document. With `clutter`, navigation, a form, style, script and footer surround the article."""
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title>'
    body = html_of(blocks)
    if clutter:
        head += _STYLE
        body = f"{_NAVIGATION}\n<main><article>\n{body}\n</article></main>\n{_FOOTER}"
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'
