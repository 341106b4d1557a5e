"""The key of a chain: the digest of what it means, however it was written.

A node's digest is the SHA-256 of the canonical JSON of its process and arguments, in which every node that it uses
and every callback is replaced by the digest of that one. So names, order and unused nodes cannot matter, and equal
parts of chains are one. Arguments are written as `canonical.py` says, those equal to their default are left out.
"""

from __future__ import annotations

from typing import Any

from earthloom.base.canon import digest as digest_json
from earthloom.base.errors import EarthloomError
from earthloom.chain.canonical import canonical_argument
from earthloom.chain.graph import Callback, Node, Parameter, ordered, references, replace
from earthloom.processes.define import Process, get_process

KEY_DIGITS = 32


def key(result: Node) -> str:
    """The key of a chain: 32 hex digits.

    Raises
    ------
    InvalidArgument, NotFound
        If a process or an argument is unknown, missing, or has no canonical form; names node and argument.
    """
    return digests(result)[id(result)][:KEY_DIGITS]


def digests(result: Node) -> dict[int, str]:
    """The digest of every node that `result` needs, by the node's identity."""
    found: dict[int, str] = {}
    for node in ordered(result):
        found[id(node)] = digest_json(_meaning(node, found))
    return found


def _meaning(node: Node, known: dict[int, str]) -> dict[str, Any]:
    process = get_process(node.process_id, node=node.name)

    def write(reference: Any) -> Any:
        if isinstance(reference, Node):
            return {"from_node": known[id(reference)]}
        if isinstance(reference, Callback):
            return {"process_graph": digests(reference.result)[id(reference.result)]}
        return {"from_parameter": reference.name}

    try:
        arguments = {name: replace(v, write) for name, v in canonical_arguments(process, node.arguments).items()}
    except EarthloomError as error:
        raise error.at(node=node.name) from None
    return {"process_id": node.process_id, "arguments": arguments}


def canonical_arguments(process: Process, arguments: Any) -> dict[str, Any]:
    """The arguments that matter, each in its canonical writing: those equal to their default are left out."""
    kept: dict[str, Any] = {}
    for name, value in arguments.items():
        parameter = process.parameter(name)
        if value is None and parameter.optional:
            # null stands for "not given" where the default is null, or where there is none.
            if parameter.default is None:
                continue
        elif value is not None and not _has_references(value):
            try:
                value = canonical_argument(value, parameter.schema.subtype)
            except EarthloomError as error:
                raise error.at(argument=name) from None
        if parameter.schema.subtype == "metadata-filter" and not value:
            continue
        if parameter.optional and not _has_references(value) and _same(value, parameter.default):
            continue
        kept[name] = value
    return kept


def _same(a: Any, b: Any) -> bool:
    """Equal as JSON: 1 and 1.0 are, 1 and true are not."""
    if isinstance(a, bool) != isinstance(b, bool):
        return False
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


def _has_references(value: Any) -> bool:
    return any(isinstance(r, Node | Callback | Parameter) for r in references(value))
