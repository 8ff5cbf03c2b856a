"""The search tool: a query in, a numbered list of pages with snippets out.

    tool = SearchTool(corpus)
    tool.call(None, "who directed The Silent Mill?", CallContext()).text
    # 1. The Silent Mill
    #    https://example.org/wiki/The_Silent_Mill
    #    The Silent Mill is a film directed by ...

For a small model: `SearchTool(corpus, limit=1, snippet_characters=1000, addresses=False)` shows one page's whole text.
Left out: operators in the query (every engine here takes any text as plain words).
"""

from typing import Any

from aepo_env.search.engine import SearchEngine, SearchFailed, SearchTimedOut
from aepo_env.text import clean, cut
from aepo_env.tools.tool import CallContext, Fault, Forking, Tool, ToolResult

LONGEST_TITLE = 200  # characters shown


class SearchTool(Tool):
    """Lists the pages an engine finds.

    limit: how many pages at most. snippet_characters: longest snippet. addresses: whether to show where a page is
    (the browse tool opens it by its number as well).
    """

    name = "search"
    description = "Search for pages. Argument: what to look for, in plain words. Lists titles, addresses and snippets."
    forking = Forking.PURE

    def __init__(
        self, engine: SearchEngine, limit: int = 5, snippet_characters: int = 200, *, addresses: bool = True
    ) -> None:
        if limit < 1 or snippet_characters < 0:
            raise ValueError(
                f"Expected limit >= 1 and snippet_characters >= 0, got limit={limit}, "
                f"snippet_characters={snippet_characters}."
            )
        self.engine, self.limit, self.snippet_characters, self.addresses = engine, limit, snippet_characters, addresses

    def call(self, state: Any, argument: str, context: CallContext) -> ToolResult:
        if not argument.strip():
            return ToolResult("The query is empty. Write what to look for, for example the name of a thing.", state)
        try:
            hits = self.engine.search(argument, self.limit, context.seconds, self.snippet_characters)[: self.limit]
        except SearchFailed as error:
            kind = "timeout" if isinstance(error, SearchTimedOut) else "unavailable"
            message = f"The search failed: {error} Try again."
            return ToolResult(message, state, fault=Fault(kind, message, retryable=True))
        lines = []
        for number, hit in enumerate(hits, 1):
            lines.append(f"{number}. {cut(clean(hit.title), LONGEST_TITLE)}")
            if self.addresses:
                lines.append(f"   {clean(hit.address)}")
            if shown := cut(clean(hit.snippet), self.snippet_characters):
                lines.append(f"   {shown}")
        return ToolResult("\n".join(lines) or "Nothing found.", state, results=tuple(hit.address for hit in hits))
