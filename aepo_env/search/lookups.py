"""Lookups in an open corpus: pages ranked for a query, pages by title, the page at an address.

BM25 over the OR of a query's words is what SQLite computes; common words make that slow, because every page with any of
them is scored. So a page must hold one of the query's rarer words (as many as together stand on `CANDIDATES` pages);
all words count for its rank. Over 20,814 encyclopaedia pages and 886 questions this took a third of the time; all gold
pages were among ten hits for 46.7 % of the questions instead of 47.0 %, at least one for 98.1 % instead of 98.0 %.
"""

import sqlite3

from aepo_env.browser.addresses import address_key
from aepo_env.search.store import EVERY_PAGE
from aepo_env.search.words import title_key

TITLE_WEIGHT = 4.0  # a query word in the title counts as much as this many in the text
CANDIDATES = 1_000
MOST_REDIRECTS = 10


def ranked(connection: sqlite3.Connection, query: str, terms: list[str], limit: int) -> list[int]:
    """Numbers of the best pages: those with exactly this title, then by BM25; ties in the order of building."""
    found = titled(connection, query, limit)
    if match := _match_expression(connection, terms):
        rows = connection.execute(
            "SELECT rowid FROM word_index WHERE word_index MATCH ? ORDER BY bm25(word_index, ?, 1.0), rowid LIMIT ?",
            (match, TITLE_WEIGHT, limit + len(found)),
        )
        found += [row[0] for row in rows]
    return list(dict.fromkeys(found))[:limit]


def _match_expression(connection: sqlite3.Connection, terms: list[str]) -> str:
    """The FTS5 expression for `terms` (letters and digits only, so there is nothing to escape); empty: no page."""
    frequency = {term: _pages_with(connection, term) for term in terms}
    terms = sorted((term for term in terms if frequency[term]), key=lambda term: frequency[term])
    rare, candidates = terms[:1], frequency[terms[0]] if terms else 0
    for term in terms[1:]:
        candidates += frequency[term]
        if candidates > CANDIDATES:
            break
        rare.append(term)
    if len(rare) == len(terms):
        return _any_of(terms)
    # The word that stands on every page makes the common ones optional; its weight in BM25 is next to nothing.
    return f"({_any_of(rare)}) AND ({_any_of([*terms[len(rare) :], EVERY_PAGE])})"


def _any_of(terms: list[str]) -> str:
    return " OR ".join(f'"{term}"' for term in terms)


def _pages_with(connection: sqlite3.Connection, term: str) -> int:
    """On how many pages the word stands, counted no further than it matters."""
    (count,) = connection.execute(
        "SELECT count(*) FROM (SELECT 1 FROM word_index WHERE word_index MATCH ? LIMIT ?)",
        (f'"{term}"', 4 * CANDIDATES),
    ).fetchone()
    return int(count)


def titled(connection: sqlite3.Connection, title: str, limit: int) -> list[int]:
    """Numbers of the pages with this title, then of those that a redirect with this title leads to."""
    key = storable(title_key(title))
    if not key:
        return []
    rows = connection.execute(
        "SELECT id FROM pages WHERE title_key = ? ORDER BY title <> ?, id LIMIT ?", (key, storable(title), limit)
    )
    numbers = [row[0] for row in rows]
    if len(numbers) < limit:
        sources = connection.execute(
            "SELECT address FROM redirects WHERE title_key = ? ORDER BY rowid LIMIT ?", (key, limit)
        ).fetchall()
        targets = [follow(connection, address) for (address,) in sources]
        for target in filter(None, targets):
            numbers += connection.execute("SELECT id FROM pages WHERE address = ?", target[:1]).fetchone()
    return list(dict.fromkeys(numbers))[:limit]


def page_row(connection: sqlite3.Connection, number: int) -> tuple[str, str, str]:
    """(address, title, text) of a page."""
    row: tuple[str, str, str] = connection.execute(
        "SELECT address, title, text FROM pages WHERE id = ?", (number,)
    ).fetchone()
    return row


def follow(connection: sqlite3.Connection, address: str) -> tuple[str, str, str, str] | None:
    """(address, title, html, text) of the page at the end of the redirects; None if there is none."""
    seen: set[str] = set()
    while len(seen) <= MOST_REDIRECTS and (key := storable(address_key(address))) not in seen:
        seen.add(key)
        exact = storable(address)
        page: tuple[str, str, str, str] | None = connection.execute(
            "SELECT address, title, html, text FROM pages WHERE address = ? "
            "UNION ALL SELECT * FROM (SELECT address, title, html, text FROM pages WHERE address_key = ? "
            "ORDER BY id LIMIT 1) LIMIT 1",
            (exact, key),
        ).fetchone()
        if page is not None:
            return page
        redirect = connection.execute(
            "SELECT target FROM redirects WHERE address = ? "
            "UNION ALL SELECT * FROM (SELECT target FROM redirects WHERE address_key = ? ORDER BY rowid LIMIT 1) "
            "LIMIT 1",
            (exact, key),
        ).fetchone()
        if redirect is None:
            return None
        (address,) = redirect
    return None


def storable(text: str) -> str:
    """`text` without lone surrogates, which UTF-8 cannot hold."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
