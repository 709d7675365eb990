"""A run as a live page, served to this machine while another process searches.

    Watched         a run folder, read when it has changed, for all viewers once
    WatchServer     answers browsers; reads only

Neither imports torch, so that watching costs a search neither memory nor time; the page's explorer,
where it is opened, does so in a process of the lowest priority.
"""

from archpress.watching.server import WatchServer
from archpress.watching.watched import Watched

__all__ = ["WatchServer", "Watched"]
