"""The pages of a user's folder: `pages.jsonl`, or a tree of .html, .md and .txt files.

    for page in read_pages(Path("my_pages")): ...
    fingerprint(Path("my_pages"))               # changes whenever a page does

`pages.jsonl` holds one JSON object a line: title; text or html; optional url (else made from the title); optional
links, a list of [anchor text, title of the target page], which become real links at the anchor's first free mention.
In a tree every file is a page whose address is made from its path, so that relative links between files work.
The folder is only read. Symbolic links that lead out of it, and linked directories, are not followed; hidden files
are skipped. Left out: other formats (PDF, Word), and Markdown beyond headings, lists, links, emphasis and code.
"""

import hashlib
import html
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from aepo_env.browser.addresses import LONGEST_ADDRESS, address_key
from aepo_env.browser.reader import LONGEST_PAGE
from aepo_env.corpus import Page
from aepo_env.text import clean
from aepo_env.worlds.folder.markdown import markdown_to_html, without_closing_marks

BASE_ADDRESS = "https://pages.example/"  # a reserved domain (RFC 2606): no made address can be a real site's
LARGEST_PAGE = 20_000_000  # bytes of one file, or of one line of pages.jsonl
PAGE_SUFFIXES = (".html", ".htm", ".md", ".txt")
_TITLES = [
    (re.compile(rf"<{name}\b[^<>]*>", re.IGNORECASE), re.compile(rf"</{name}\s*>", re.IGNORECASE))
    for name in ("title", "h1")
]
_FORMAT = "2"  # raise it when the same folder gives other pages, so that cached indexes are rebuilt


class FolderError(ValueError):
    """A folder of pages cannot be used. One sentence: file and line, what was expected, what came, what to do."""


def fingerprint(directory: Path) -> str:
    """32 hexadecimal digits over names and contents of all page files.

    Contents, not times and sizes: an edit within one clock tick must not serve the old pages, and hashing reads about
    a gigabyte a second.
    """
    digest = hashlib.blake2b(_FORMAT.encode(), digest_size=16)
    for path in page_files(directory):
        name = path.relative_to(directory).as_posix().encode("utf-8", "surrogateescape")
        content = hashlib.blake2b(digest_size=32)
        try:
            with path.open("rb") as file:
                while block := file.read(1 << 20):
                    content.update(block)
        except OSError as error:
            raise FolderError(f"{path}: cannot be read ({error.strerror}); allow reading it or remove it.") from error
        digest.update(len(name).to_bytes(4, "big") + name + content.digest())
    return digest.hexdigest()


def page_files(directory: Path) -> list[Path]:
    """The files that hold the pages, in a fixed order: `pages.jsonl` alone where it exists, else the tree's files."""
    if not directory.is_dir():
        kind = "a file" if directory.exists() else "nothing"
        raise FolderError(f"{directory}: expected a folder of pages, found {kind}; give the folder that holds them.")
    listing = directory / "pages.jsonl"
    if listing.is_symlink() and not stays_inside(listing, directory):
        raise FolderError(f"{listing}: expected a file, found a link out of the folder; copy the file into the folder.")
    found = [listing] if listing.is_file() else list(_walk(directory))
    if not found:
        endings = ", ".join(PAGE_SUFFIXES)
        raise FolderError(f"{directory}: expected pages.jsonl or files ending in {endings}, found none; put pages in.")
    return found


def stays_inside(path: Path, directory: Path) -> bool:
    """Whether `path`, its links followed, lies in `directory`. Loops and dead ends are no error."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(directory))


def _walk(directory: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(directory, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(folder, name)
            if name.startswith(".") or path.suffix.lower() not in PAGE_SUFFIXES:
                continue
            # A link may only stand for a file of this very folder: pages are shown to models.
            if path.is_symlink() and not stays_inside(path, directory):
                continue
            if path.is_file():
                yield path


def read_pages(directory: Path) -> Iterator[Page]:
    """All pages, streamed in a fixed order. Raises FolderError at the first mistake."""
    files = page_files(directory)
    if files[0].name == "pages.jsonl" and files[0].parent == directory:
        yield from _listed_pages(files[0])
        return
    places: dict[str, str] = {}
    for path in files:
        page = _file_page(path, path.relative_to(directory))
        _claim(page.address, str(path), places)
        yield page


def json_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(place, object) for each non-empty line; the place reads "FILE, line N". Raises FolderError."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise FolderError(
            f"{path}: cannot be read ({error.strerror}); put the file there or allow reading it."
        ) from error
    with file:
        number = 0
        while line := file.readline(LARGEST_PAGE + 1):
            number += 1
            place = f"{path}, line {number}"
            if len(line) > LARGEST_PAGE:
                raise FolderError(f"{place}: longer than {LARGEST_PAGE:,} bytes; split it into smaller pages.")
            if line.strip():
                yield place, _json_object(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line, place)


def _json_object(line: bytes, place: str) -> dict[str, Any]:
    try:
        value = json.loads(_utf8(line, place))
    except RecursionError:
        raise FolderError(f"{place}: expected a flat JSON object, found deep nesting; flatten it.") from None
    except ValueError as error:
        if isinstance(error, FolderError):
            raise
        raise FolderError(f"{place}: expected a JSON object on one line, but {error}; correct the line.") from None
    if not isinstance(value, dict):
        raise FolderError(f"{place}: expected a JSON object, found {_kind(value)}; write {{...}} with named fields.")
    return value


def _utf8(content: bytes, place: str) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FolderError(f"{place}: not UTF-8 at byte {error.start + 1}; save the file as UTF-8.") from None


def text_field(record: dict[str, Any], name: str, place: str, *, required: bool = False) -> str:
    """A string field, "" where it is absent or null. Raises FolderError for any other type, and when required."""
    value = record.get(name)
    if value is None and not required:
        return ""
    if not isinstance(value, str):
        found = "nothing" if value is None else _kind(value)
        raise FolderError(f'{place}: expected text in the field "{name}", found {found}; correct the line.')
    if required and not value.strip():
        raise FolderError(f'{place}: the field "{name}" is empty; fill it in.')
    # A lone surrogate is legal JSON but cannot be stored or shown: it becomes the replacement mark.
    return value.encode("utf-8", "replace").decode("utf-8")


def _kind(value: object) -> str:
    names = {bool: "true/false", int: "a number", float: "a number", list: "a list", dict: "an object", str: "text"}
    return names.get(type(value), "null")


# ---------------------------------------------------------------------------------------------- pages.jsonl


def _listed_pages(path: Path) -> Iterator[Page]:
    addresses = _addresses_by_title(path)  # first pass: a link may point to a page further down
    for place, record in json_lines(path):
        title = text_field(record, "title", place, required=True)
        address = _address(record, title, place)
        if source := text_field(record, "html", place):
            yield Page(address, title, html=source)
        else:
            links = [(anchor, addresses[target]) for anchor, target in _links(record, place) if target in addresses]
            yield text_page(address, title, text_field(record, "text", place), links)


def _addresses_by_title(path: Path) -> dict[str, str]:
    """Checks every line; the address of each title (of the first page where several share one)."""
    by_title: dict[str, str] = {}
    places: dict[str, str] = {}
    for place, record in json_lines(path):
        title = text_field(record, "title", place, required=True)
        if not (text_field(record, "html", place) or text_field(record, "text", place)):
            raise FolderError(f'{place}: expected the field "text" or "html", found neither; fill one in.')
        _links(record, place)
        address = _address(record, title, place)
        _claim(address, place, places)
        by_title.setdefault(title, address)
    if not places:
        raise FolderError(f"{path}: expected one page a line, found an empty file; put pages in.")
    return by_title


def _claim(address: str, place: str, places: dict[str, str]) -> None:
    """Notes whose address it is, in whatever spelling. Raises FolderError when it is another page's."""
    if len(address) > LONGEST_ADDRESS:
        raise FolderError(
            f"{place}: an address of {len(address):,} characters, at most {LONGEST_ADDRESS:,} can be used."
        )
    key = address_key(address)
    if key in places:
        raise FolderError(
            f"{place}: the address {address} is already that of {places[key]}; give each page its own url or name."
        )
    places[key] = place


def _address(record: dict[str, Any], title: str, place: str) -> str:
    url = text_field(record, "url", place).strip()
    if not url:
        return BASE_ADDRESS + quote(title.strip().replace(" ", "_"), safe=",()'!:")
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise FolderError(
            f'{place}: expected a url such as "https://site.org/page", found {url[:80]!r}; '
            "write it in full or leave it out."
        )
    return url


def _links(record: dict[str, Any], place: str) -> list[tuple[str, str]]:
    links = record.get("links") or []
    if not isinstance(links, list):
        raise FolderError(f'{place}: expected a list in the field "links", found {_kind(links)}; correct the line.')
    for link in links:
        if not (isinstance(link, list) and len(link) == 2 and all(isinstance(part, str) for part in link)):
            raise FolderError(
                f'{place}: expected each of "links" as ["text in the page", "title of the target"], '
                f"found {json.dumps(link)[:80]}; correct the line."
            )
    return [(anchor, target) for anchor, target in links if anchor]


def text_page(address: str, title: str, text: str, links: list[tuple[str, str]]) -> Page:
    """Plain text as a page: paragraphs at blank lines, each link at its anchor's first mention not yet taken."""
    spans: list[tuple[int, int, str]] = []
    taken = bytearray(len(text))
    looked: dict[
        str, int
    ] = {}  # no mention of the anchor before this place is free: a page may link thousands of times
    for anchor, target in links:
        start = text.find(anchor, looked.get(anchor, 0))
        while start >= 0 and any(taken[start : start + len(anchor)]):
            start = text.find(anchor, start + len(anchor))
        looked[anchor] = end = start + len(anchor) if start >= 0 else len(text)
        if start >= 0:
            taken[start:end] = b"\1" * len(anchor)
            spans.append((start, end, target))
    pieces, position = [], 0
    for start, end, target in sorted(spans):
        pieces.append(html.escape(text[position:start], quote=False))
        pieces.append(f'<a href="{html.escape(target)}">{html.escape(text[start:end], quote=False)}</a>')
        position = end
    pieces.append(html.escape(text[position:], quote=False))
    body = "\n".join(f"<p>{paragraph}</p>" for paragraph in _paragraphs("".join(pieces)))
    heading = html.escape(title, quote=False)
    source = f"<html><head><title>{heading}</title></head><body>\n<h1>{heading}</h1>\n{body}\n</body></html>"
    # What the reader makes of such a page is known beforehand, which saves parsing it for the index.
    known = len(source) < LONGEST_PAGE and not title.startswith("#")
    return Page(address, title, source, "\n".join(filter(None, map(clean, _paragraphs(text)))) if known else "")


def _paragraphs(text: str) -> list[str]:
    return [part.strip() for part in re.split(r"\n\s*\n", text) if part.strip()]


# ------------------------------------------------------------------------------------------ a tree of files


def _file_page(path: Path, relative: Path) -> Page:
    try:
        size = path.stat().st_size
        if size > LARGEST_PAGE:
            raise FolderError(f"{path}: {size:,} bytes, but a page may have {LARGEST_PAGE:,}; split it.")
        content = _utf8(path.read_bytes().removeprefix(b"\xef\xbb\xbf"), str(path))
    except OSError as error:
        raise FolderError(f"{path}: cannot be read ({error.strerror}); allow reading it or remove it.") from error
    name = relative.as_posix().encode("utf-8", "surrogateescape")
    address = BASE_ADDRESS + quote(name)
    title = relative.stem.replace("_", " ").encode("utf-8", "replace").decode("utf-8")
    suffix = path.suffix.lower()
    if suffix == ".txt":
        return text_page(address, title, content, [])
    if suffix == ".md":
        heading = re.search(r"^#[ \t]+(.+)$", content, re.MULTILINE)
        title = (without_closing_marks(heading.group(1)) if heading else "") or title
        return Page(address, title, html=markdown_to_html(content, title))
    return Page(address, _html_title(content) or title, html=content)


def _html_title(source: str) -> str:
    """The text of <title>, else of the first <h1>; "" where there is neither."""
    head = source[:100_000]  # a title stands early; a bound keeps odd files from costing time
    for opening, closing in _TITLES:
        # Two searches, and no tag beyond the next "<": one pattern over both would be quadratic for a hostile page.
        start = opening.search(head)
        end = closing.search(head, start.end()) if start else None
        if start and end:
            title = " ".join(html.unescape(re.sub(r"<[^<>]*>", " ", head[start.end() : end.start()])).split())
            if title:
                return title
    return ""
