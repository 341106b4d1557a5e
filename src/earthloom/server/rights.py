"""Which collections who asks may not see, and the door in front of all routes that keeps them out of sight.

The check is made at each request, before any cache: what is kept of plans, selections, pictures and their tags is
shared by all, and what a chain reads never changes with its key.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any

import orjson
from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Receive, Scope, Send

from earthloom.base.errors import NotFound
from earthloom.base.lru import Lru
from earthloom.chain.graph import ordered
from earthloom.chain.key import KEY_DIGITS
from earthloom.chain.parse import parse
from earthloom.engine.engine import Engine, no_chain
from earthloom.server.access import Access
from earthloom.server.datafile import DataFile
from earthloom.server.guard import replay, whole_body
from earthloom.server.tokens import LOCAL, Tokens, check_name

GROUP = "group:"
_KEYS = 10_000
_KEY = re.compile(rf"[0-9a-f]{{{KEY_DIGITS}}}(?![0-9a-f])")


class Rights:
    """The collections of a data folder that are not for all, in its file `access.json`. All others are open.

    Parameters
    ----------
    tokens
        The names there are, with their groups; the file lies beside theirs.
    """

    def __init__(self, tokens: Tokens) -> None:
        self.tokens = tokens
        file = tokens.file.with_name("access.json")
        # Unreadable, it hides all: what it held is not known any more.
        self._table = DataFile(file, _read, list, "Remove it from the data folder, and restrict the collections anew.")

    def restrict(self, collection: str, to: Iterable[str]) -> None:
        """Show a collection to these names and groups (`group:NAME`) only; to nobody if there are none.

        Raises
        ------
        InvalidArgument, NotFound
            If one cannot be a name or group, or no token has it.
        """
        to = tuple(sorted(set(to)))
        names = {LOCAL, *self.tokens.names()}
        groups = {group for kept in self.tokens.all().values() for group in kept.groups}
        for one in to:
            group = one.removeprefix(GROUP)
            check_name(group, "name or group", "to")
            if one.startswith(GROUP) and group not in groups:
                raise NotFound.name("group", group, groups, argument="to")
            if not one.startswith(GROUP) and one not in names:
                raise NotFound.name("token", one, names, argument="to")
        with self._table.changed() as kept:
            kept[collection] = to

    def open(self, collection: str) -> None:
        """Show a collection to all again; NotFound with near names if it is not restricted."""
        with self._table.changed() as kept:
            if kept.pop(collection, None) is None:
                raise NotFound.name("restricted collection", collection, kept, collection=collection)

    def all(self) -> Mapping[str, tuple[str, ...]]:
        """The restricted collections, each with the names and groups that may see it."""
        return self._table.current()

    def hidden(self, name: str) -> frozenset[str]:
        """The collections that a name may not see. A change of the file counts at once."""
        restricted = self._table.current()
        if not restricted:
            return frozenset()
        mine = {name, *(GROUP + group for group in self.tokens.groups(name))}
        return frozenset(collection for collection, to in restricted.items() if mine.isdisjoint(to))


class Sight:
    """What one who asks may see.

    Parameters
    ----------
    hidden
        Collections that are not to be seen.
    reads
        The collections that a kept chain reads, by its key.
    """

    def __init__(self, hidden: frozenset[str], reads: Callable[[str], frozenset[str]]) -> None:
        self.hidden, self._reads = hidden, reads

    def collection(self, id: str) -> bool:
        """Whether a collection may be seen."""
        return id not in self.hidden

    def chain(self, key: str) -> bool:
        """Whether all that a chain reads may be seen. May look into the store: not for the event loop."""
        return not self.hidden or self.hidden.isdisjoint(self._reads(key))


class Hide:
    """ASGI wrapper: for who may not see a collection, neither it nor any chain over it exists.

    A request is looked at as a whole, whichever route it is for: the keys and the collection in its path, and all that
    graphs in its body load. So a new route cannot forget to ask. One that lists what is not named in the request takes
    `WhoSees`.
    """

    def __init__(self, app: ASGIApp, rights: Rights, access: Access, engine: Engine) -> None:
        self.app, self.rights, self.access, self.engine = app, rights, access, engine
        self._reads: Lru[str, frozenset[str]] = Lru(_KEYS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            # Who has a server for itself alone can read its files too.
            hidden = frozenset[str]() if self.access.own else self.rights.hidden(scope["principal"])
            sight = Sight(hidden, self._of_key)
            scope = {**scope, "sight": sight}
            if hidden:
                receive = await self._check(scope, receive, sight)
        await self.app(scope, receive, send)

    async def _check(self, scope: Scope, receive: Receive, sight: Sight) -> Receive:
        path = scope["path"].removeprefix(scope.get("root_path", ""))  # a stranger may have made up the prefix
        for key in _KEY.findall(path):
            # Mostly known here: a tile must not wait for a thread.
            known = self._reads.get(key) is not None
            if not (sight.chain(key) if known else await run_in_threadpool(sight.chain, key)):
                raise no_chain(key)
        _, found, rest = path.partition("/collections/")
        named = {rest.partition("/")[0]} if found and rest else set()
        if scope["method"] not in ("GET", "HEAD", "OPTIONS"):
            body = await whole_body(receive)
            named |= _loaded(body)
            receive = replay(body, receive)
        if named:
            await run_in_threadpool(self._exist, named, sight)
        return receive

    def _of_key(self, key: str) -> frozenset[str]:
        """The collections that a chain reads; none if it is not kept here, which its route will say."""
        reads = self._reads.get(key)
        if reads is None:
            # The plan first: it is drawn from as long as it is kept, also when the store has forgotten the chain.
            plan = self.engine.plans.get(key)
            if plan is not None:
                reads = frozenset(source.query.collection for source in plan.sources.values())
            else:
                try:
                    nodes = ordered(parse(self.engine.graph(key)))
                except NotFound:
                    return frozenset()
                reads = frozenset(str(n.arguments.get("id")) for n in nodes if n.process_id == "load_collection")
            self._reads.put(key, reads)
        return reads

    def _exist(self, named: Iterable[str], sight: Sight) -> None:
        """Raise NotFound as for a collection that is not there; nor do the near names tell of a hidden one."""
        known = [c["id"] for c in self.engine.collections() if sight.collection(c["id"])]
        for name in sorted(named):
            if name not in known:
                raise NotFound.name("collection", name, known, collection=name)


def _who_sees(request: Request) -> Sight:
    found: Sight = request.scope["sight"]
    return found


WhoSees = Annotated[Sight, Depends(_who_sees)]


def _read(entry: Any) -> tuple[str, ...]:
    if not isinstance(entry, list) or not all(isinstance(name, str) for name in entry):
        raise TypeError
    return tuple(entry)


def _loaded(body: bytes) -> set[str]:
    """The collections that any graph in a body loads, wherever it stands: rather too many than one too few.

    None if the body is no JSON, which its route will say.
    """
    try:
        todo = [orjson.loads(body)]
    except orjson.JSONDecodeError:
        return set()
    found = set()
    while todo:
        value = todo.pop()
        if isinstance(value, dict):
            arguments = value.get("arguments")
            if value.get("process_id") == "load_collection" and isinstance(arguments, dict) and "id" in arguments:
                found.add(str(arguments["id"]))
            todo.extend(value.values())
        elif isinstance(value, list):
            todo.extend(value)
    return found
