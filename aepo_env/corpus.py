"""A corpus: pages in one SQLite file, searched by BM25 and opened by address.

corpus = Corpus.build(pages, path)      # once; written aside and renamed
corpus = Corpus.open(path)              # milliseconds
"""

from typing import NamedTuple


class Page(NamedTuple):
    """One page on its way into a corpus.

    address: unique, absolute ("https://…"). html: the page's source. text: what the reader would extract from it
    (given when the maker knows it; else read from the HTML). redirect: set for a page that only points elsewhere.
    """

    address: str
    title: str
    html: str = ""
    text: str = ""
    redirect: str = ""


class Corpus:
    """Pages and their index (SearchEngine and PageSource in one)."""
