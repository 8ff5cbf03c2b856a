"""Addresses: when two spellings mean the same page.

    address_key("HTTP://En.example.org/wiki/S%C3%A3o_Paulo#History") == address_key("en.example.org/wiki/São_Paulo")

Scheme (http or https or none), case of the host, percent-encoding, a fragment and a final slash make no difference.
Left out: anything that would need the network (redirects, "www.").
"""

from urllib.parse import unquote

LONGEST_ADDRESS = 2_000  # characters; a longer one is no address


def address_key(address: str) -> str:
    """A text that is equal for all spellings of an address. Never raises."""
    address = address.strip()[:LONGEST_ADDRESS].partition("#")[0]
    scheme, separator, rest = address.partition("://")
    if not separator:
        scheme, rest = "https", address
    host, slash, path = rest.partition("/")
    scheme = scheme.lower().replace("https", "http")
    return f"{scheme}://{host.lower()}{slash}{unquote(path)}".rstrip("/")
