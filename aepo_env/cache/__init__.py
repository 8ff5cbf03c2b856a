"""Record and replay in front of anything that answers equal questions equally: tools, search engines, page sources.

    tool = CachedTool(SearchTool(engine), "searches.sqlite", "auto")       # a Tool like the one inside
    engine = CachedEngine(BraveSearch(), "web.sqlite", "record", name="brave")
    pages = CachedPages(HttpPages(), "web.sqlite", "replay", name="http")

Modes: "off" (straight through), "auto" (call on a miss, store), "record" (always call, store), "replay" (never call: a
miss is a Fault of kind "not_recorded"). Faults are never stored.

Where to put it: `CachedTool` suits tools that are pure functions of their argument. A browse tool is none (its argument
may be a number in the last search's list, and it pages); there the page source is the place. For live search the
engine is the better place too: the tool may then change its wording without losing what was paid for.

Left out: expiry. A recording is a fixed world; to see a newer one, record into a new file.
"""

from aepo_env.cache.record_replay import Mode, RecordReplay
from aepo_env.cache.store import CacheError
from aepo_env.cache.wrappers import CachedEngine, CachedPages, CachedTool

__all__ = ["CacheError", "CachedEngine", "CachedPages", "CachedTool", "Mode", "RecordReplay"]
