"""Manners: what every request is checked for before a route sees it, whoever's client sent it. Plain ASGI.

    app = stack(application, serve)
    uvicorn.Config(app, http=connections.protocol(serve))

requests     an id for each, and one line in the log at its end
hosts        Host and Origin, against DNS rebinding; CORS for the origins that are named
keys         API keys
together     how many are being read, for engines to begin them together
limits       size, time, type and depth of bodies
connections  size and time of headers, which uvicorn doesn't limit
shapes       refusals in the shape that the client reads; refusing sends them

Nothing here raises for what a client sent: it is refused with a status and told why. A piece of an answer passes
without a task, a queue or a copy.
"""

from __future__ import annotations

from starlette.types import ASGIApp

from smidgen.api.manners.hosts import Hosts
from smidgen.api.manners.keys import Keys, require_keys
from smidgen.api.manners.limits import Limits
from smidgen.api.manners.requests import Requests
from smidgen.api.manners.shapes import refusal
from smidgen.api.manners.together import Together
from smidgen.config import Serve

__all__ = ["refusal", "require_keys", "stack"]


def stack(app: ASGIApp, serve: Serve) -> ASGIApp:
    """The application with its manners. The log is outermost, so that it tells of refusals too; preflights carry no
    key, so hosts come before keys; nobody's body is read before they may ask."""
    return Requests(Hosts(Keys(Together(Limits(app, serve)), serve), serve))
