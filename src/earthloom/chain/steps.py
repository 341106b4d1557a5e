"""A process graph as numbered steps that a person reads.

Arithmetic and choices of bands are nodes too, but a person reads them as one formula: they are written into the step
that uses them, in Python's notation, unless that would make it long or say the same twice.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from earthloom.base import times
from earthloom.base.tilefunction import OPENEO

Graph = Mapping[str, Any]

LONGEST_FORMULA = 72
LONGEST_LIST = 8

# Process id -> sign and how tightly it binds, as in Python; what binds less tightly is put in brackets.
_SIGNS = {
    "eq": ("==", 1),
    "neq": ("!=", 1),
    "lt": ("<", 1),
    "lte": ("<=", 1),
    "gt": (">", 1),
    "gte": (">=", 1),
    "array_contains": ("in", 1),
    "or": ("|", 2),
    "and": ("&", 3),
    "add": ("+", 4),
    "subtract": ("-", 4),
    "multiply": ("*", 5),
    "divide": ("/", 5),
    "power": ("**", 7),
}
_COMPARE, _NOT, _POWER, _ATOM = 1, 6, 7, 9


@dataclass(frozen=True, slots=True)
class Step:
    """One step: its name, its arguments as short text, and the node it ends in."""

    name: str
    text: str
    node: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Formula:
    text: str
    binds: int = _ATOM

    def within(self, binds: int) -> str:
        """The text as part of a formula that binds so tightly."""
        return self.text if self.binds >= binds else f"({self.text})"


def chain_steps(graph: Graph) -> list[Step]:
    """The steps of a flat openEO process graph, each after those it uses; nodes without use are left out."""
    writer = _Writer(graph)
    for name in writer.order:
        writer.write(name)
    return writer.steps


def short_name(graph: Graph) -> str:
    """A name for a layer: the collection and what is shown of it, such as "sentinel2-series, median over t"."""
    steps = chain_steps(graph)
    sources = [step.text.split(",")[0] for step in steps if step.name == "load_collection"]
    hidden = {"load_collection", "select_items", "mosaic", "mask", "where", "color", "classes", "rgb"}
    shown = [f"{step.name} {step.text}" for step in steps if step.name not in hidden]
    last = shown[-1] if shown else ""
    for word in ("band ", "bands ", "calculate ", "execute "):
        last = last.removeprefix(word).strip()
    if "step " in last:  # says nothing without the other steps
        last = "formula"
    return ", ".join(filter(None, [*dict.fromkeys(sources), last])) or "chain"


# Steps that leave the quantity what it is.
_KEEP_QUANTITY = {"select_items", "mosaic", "mask", "where", "filter_temporal", "filter_bbox", "resample_spatial"}
_KEEP_QUANTITY |= {"color", "classes", "rgb", "mean", "median", "min", "max", "first", "last", "sum", "sd", "apply"}


def quantity(graph: Graph) -> tuple[str, str]:
    """What the values of a chain are, and their unit, as far as the steps tell: a formula, or a process."""
    steps = chain_steps(graph)
    while steps:
        step = steps.pop()
        if step.name in ("calculate", "band"):
            return step.text.partition(", of step")[0], ""
        if step.name == "execute":
            return step.text.partition("(")[0], ""
        if step.name not in _KEEP_QUANTITY:
            if step.name == "load_collection":
                break
            unit = step.node["arguments"].get("unit", "degree") if step.name in ("slope", "aspect") else ""
            return step.name, {"degree": "\N{DEGREE SIGN}", "percent": "%"}.get(unit, "")
        if of := re.search(r"\bof step (\d+)$", step.text):
            del steps[int(of[1]) :]  # what stands between, a condition, is not what is shown
    return "value", ""


def period(start: str | None, end: str | None) -> str:
    """A half-open interval in words: both ends included, as days where both are midnights."""
    if end is None:
        return f"from {_day(start)}" if start else "any time"
    last = times.parse(end)
    whole_days = end.endswith("T00:00:00Z")
    until = times.to_text(last - timedelta(days=1)) if whole_days else end
    if start is None:
        return f"until {_day(until)}"
    return _day(start) if whole_days and until == start else f"{_day(start)} to {_day(until)}"


@dataclass
class _Writer:
    """Goes through the nodes in order, collecting steps, and formulas for the nodes that use them."""

    graph: Graph
    steps: list[Step] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)  # node -> its step, counted from 1
    formulas: dict[str, _Formula] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ends = [name for name, node in self.graph.items() if node.get("result")]
        used = {name for node in self.graph.values() for name in _used(node)}
        self.end = ends[0] if ends else next((name for name in self.graph if name not in used), "")
        self.order = _ordered(self.graph, self.end)
        self.uses = Counter(user for name in self.order for user in _used(self.graph[name]))
        nodes = [self.graph[name] for name in self.order]
        # What a node that is no formula works on stands before it as a step of its own.
        self.trunk = {first for node in nodes if not _is_formula(node) for first in _used(node)[:1]}
        self.sources = {_used(node)[0] for node in nodes if _band(node) is not None and _used(node)}

    def write(self, name: str) -> None:
        node = self.graph[name]
        formula = self.formula(node) if _is_formula(node) else None
        if formula is None:
            step = Step(*self.words(node), node)
        else:
            self.formulas[name] = formula
            band = _band(node)
            long = len(formula.text) > LONGEST_FORMULA or (self.uses[name] > 1 and band is None)
            if name != self.end and name not in self.trunk and not long:
                return
            step = Step("calculate", formula.text, node) if band is None else Step("band", formula.text, node)
        # Only what is not plain from the step before is said.
        before = [n for n in _used(node)[:1] if formula is None and self.numbers.get(n) != len(self.steps)]
        if before and before[0] in self.numbers:
            step = Step(step.name, ", ".join(filter(None, [step.text, f"of step {self.numbers[before[0]]}"])), node)
        self.steps.append(step)
        self.numbers[name] = len(self.steps)
        if formula is None or _band(node) is None:
            self.formulas[name] = _Formula(f"step {len(self.steps)}")

    def formula(self, node: Mapping[str, Any]) -> _Formula:
        arguments = node["arguments"]
        band = _band(node)
        if band is not None:
            source = _used(node)[0]
            several = len(self.sources) > 1 and source in self.numbers
            return _Formula(f"{band} of step {self.numbers[source]}" if several else band)
        if node["process_id"] == "apply":
            return _callback(arguments["process"], {"x": self.value(arguments["data"])})
        both = {"x": self.value(arguments["cube1"]), "y": self.value(arguments["cube2"])}
        return _callback(arguments["overlap_resolver"], both)

    def value(self, value: Any) -> _Formula:
        """An argument: a node's formula, a callback's, or the value itself."""
        if isinstance(value, Mapping) and "from_node" in value:
            return self.formulas[value["from_node"]]
        if isinstance(value, Mapping) and "process_graph" in value:
            return _callback(value, {})
        return _Formula(_plain(value))

    def words(self, node: Mapping[str, Any]) -> tuple[str, str]:
        """Name and text of a step that is no formula."""
        process_id, arguments = node["process_id"], dict(node["arguments"])
        match process_id:
            case "load_collection":
                return process_id, ", ".join(_load(arguments))
            case "select_items":
                return process_id, ", ".join(_select(arguments, node.get("description", "")))
            case "reduce_dimension":
                reducer = arguments["reducer"]["process_graph"]
                over = f"over {arguments['dimension']}"
                if len(reducer) == 1:
                    return next(iter(reducer.values()))["process_id"], over
                return "reduce", f"{over}: {_callback(arguments['reducer'], {}).text}"
            case "filter_bands":
                return "bands", " ".join(arguments.get("bands", []))
            case "mask":
                return process_id, f"hides {self.value(arguments['mask']).text}"
            case "where":
                return process_id, f"keeps {self.value(arguments['condition']).text}"
            case "color" | "classes" | "rgb":
                return process_id, _paint(arguments)
            case "run_udf":
                return "execute", ", ".join(_execute(arguments))
        first = _used(node)[:1]
        rest = {n: v for n, v in arguments.items() if not (isinstance(v, Mapping) and v.get("from_node") in first)}
        return process_id, ", ".join(f"{n} {self.value(v).text}" for n, v in rest.items() if v is not None)


def _callback(callback: Mapping[str, Any], given: Mapping[str, _Formula]) -> _Formula:
    """A callback as formula; a parameter that is not given stands by its name."""
    graph = callback["process_graph"]
    end = next((name for name, node in graph.items() if node.get("result")), list(graph)[-1])
    known: dict[str, _Formula] = {}

    def read(value: Any) -> _Formula:
        if isinstance(value, Mapping) and "from_node" in value:
            return known[value["from_node"]]
        if isinstance(value, Mapping) and "from_parameter" in value:
            return given.get(value["from_parameter"], _Formula(value["from_parameter"]))
        if isinstance(value, Mapping) and "process_graph" in value:
            return _callback(value, given)
        return _Formula(_plain(value))

    for name in _ordered(graph, end):
        node = graph[name]
        values = {n: read(v) for n, v in node["arguments"].items()}
        formula = _written(node["process_id"], values)
        # Nested callbacks of foreign graphs may use one node many times: its text must not grow without bound.
        known[name] = formula if len(formula.text) <= 4 * LONGEST_FORMULA else _Formula("...")
    return known[end]


def _written(process_id: str, values: Mapping[str, _Formula]) -> _Formula:
    """One process in Python's notation."""
    if process_id == "array_contains":
        values = {"x": values["value"], "y": values["data"]}
    if process_id in _SIGNS and len(values) == 2:
        sign, binds = _SIGNS[process_id]
        left, right = values.values()
        # Brackets around the right side of a - (b - c), the left of (a ** b) ** c, both sides of (a < b) == (c < d).
        before = left.within(binds + (binds in (_COMPARE, _POWER)))
        after = right.within(binds + (binds != _POWER))
        text = f"{before} {sign} {after}"
        return _Formula(text, binds)
    if process_id == "not":
        return _Formula(f"~{next(iter(values.values())).within(_NOT)}", _NOT)
    first, *rest = values.items() or [("", _Formula(""))]
    return _Formula(f"{process_id}({', '.join([first[1].text, *(f'{n}={v.text}' for n, v in rest)])})")


def _is_formula(node: Mapping[str, Any]) -> bool:
    arguments = node["arguments"]
    match node["process_id"]:
        case "apply":
            return "process" in arguments and "data" in arguments
        case "merge_cubes":
            return bool(arguments.get("overlap_resolver"))
    return _band(node) is not None


def _band(node: Mapping[str, Any]) -> str | None:
    """The band that a node takes out of its cube, if that is all it does."""
    if node["process_id"] != "reduce_dimension" or node["arguments"].get("dimension") != "bands":
        return None
    reducer = list(node["arguments"]["reducer"]["process_graph"].values())
    if len(reducer) != 1 or reducer[0]["process_id"] != "array_element":
        return None
    label = reducer[0]["arguments"].get("label")
    return None if label is None else str(label)


def _used(node: Mapping[str, Any]) -> list[str]:
    """Names of the nodes that a node uses, in the order of its arguments."""
    return list(_references(node.get("arguments", {})))


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        if "from_node" in value:
            yield value["from_node"]
        elif "process_graph" not in value:
            for v in value.values():
                yield from _references(v)
    elif isinstance(value, list | tuple):
        for v in value:
            yield from _references(v)


def _ordered(graph: Graph, end: str) -> list[str]:
    """Names of all nodes that `end` needs, each after its inputs; without recursion, for chains may be long."""
    done: dict[str, None] = {}
    stack = [(end, False)] if end in graph else []
    while stack:
        name, ready = stack.pop()
        if name in done:
            continue
        if ready:
            done[name] = None
        else:
            stack.append((name, True))
            stack.extend((n, False) for n in reversed(_used(graph[name])) if n in graph)
    return list(done)


def _load(arguments: Mapping[str, Any]) -> Iterator[str]:
    yield str(arguments["id"])
    if arguments.get("bands"):
        yield f"bands {' '.join(arguments['bands'])}"
    if arguments.get("temporal_extent"):
        yield period(*arguments["temporal_extent"])
    box = arguments.get("spatial_extent")
    if box and "west" in box:
        yield "in " + " ".join(f"{box[side]:g}" for side in ("west", "south", "east", "north"))
    elif box:
        yield "inside an area"
    for name, condition in (arguments.get("properties") or {}).items():
        yield _callback(condition, {"value": _Formula(name)}).text


def _select(arguments: Mapping[str, Any], place: str) -> Iterator[str]:
    if arguments.get("intersects"):
        yield place or "inside an area"
    for name, ascending in arguments.get("sort") or []:
        yield f"by {name}{'' if ascending else ', falling'}"
    if arguments.get("limit"):
        yield f"the first {arguments['limit']}"


def _execute(arguments: Mapping[str, Any]) -> Iterator[str]:
    """A user's function as it is called, and what is declared of it."""
    context = arguments.get("context") or {}
    name = context.get("function")
    if not name:  # one of openEO's own, whose context is all its own
        defined = re.search(rf"^def ({'|'.join(OPENEO)})\b", arguments["udf"], re.MULTILINE)
        yield f"{defined[1] if defined else 'function'}({_plain(context)})"
        return
    given = context.get("arguments")
    pairs = (f"{n}={_argument(v)}" for n, v in (given.items() if isinstance(given, Mapping) else ()))
    yield f"{name}({', '.join(pairs)})"
    if context.get("raw"):
        yield "numbers as stored"
    if context.get("margin"):
        yield f"margin {context['margin']} px"
    if context.get("bands"):
        yield f"{context['bands']} band{'s' if context['bands'] != 1 else ''}"
    if context.get("dtype"):
        yield str(context["dtype"])
    if context.get("nodata") == "nan":
        yield "no data as NaN"
    if context.get("mask") == "own":
        yield "no data by the function"


def _argument(value: Any) -> str:
    """An argument of a function, as `base/tilecontext.py` writes it in JSON."""
    if isinstance(value, Mapping) and "$array" in value:
        return f"array of {' x '.join(map(str, value.get('shape', ())))}"
    if isinstance(value, Mapping) and "$float" in value:
        return str(value["$float"])
    if isinstance(value, list):
        more = ", ..." if len(value) > LONGEST_LIST else ""
        return f"[{', '.join(_argument(v) for v in value[:LONGEST_LIST])}{more}]"
    return f'"{_plain(value)}"' if isinstance(value, str) else _plain(value)


def _paint(arguments: Mapping[str, Any]) -> str:
    if "classes" in arguments:
        return _plain([c.get("label", _plain(c["value"])) for c in arguments["classes"]])
    colours = arguments.get("colors")
    name = colours if isinstance(colours, str) else " ".join(colours) if colours else ""
    low, high = arguments.get("vmin"), arguments.get("vmax")
    ends = [_plain(end) if end is not None else "chosen from the data" for end in (low, high)]
    scale = ends[0] if ends[0] == ends[1] else " to ".join(ends)
    if isinstance(low, list) and isinstance(high, list):
        pairs = list(dict.fromkeys(f"{_plain(a)} to {_plain(b)}" for a, b in zip(low, high, strict=False)))
        scale = "; ".join(pairs)
    return ", ".join(filter(None, [name, "range " + scale if scale.startswith("chosen") else scale]))


def _plain(value: Any) -> str:
    """A JSON value as short text."""
    match value:
        case bool() | None:
            return {True: "true", False: "false", None: "null"}[value]
        case float() if value.is_integer() and abs(value) < 1e15:
            return str(int(value))
        case list() | tuple():
            more = ", ..." if len(value) > LONGEST_LIST else ""
            return ", ".join(_plain(v) for v in value[:LONGEST_LIST]) + more
        case Mapping():
            return ", ".join(f"{k} {_plain(v)}" for k, v in list(value.items())[:LONGEST_LIST])
    text = str(value)
    return text if len(text) <= LONGEST_FORMULA else text[: LONGEST_FORMULA - 3] + "..."


def _day(text: str | None) -> str:
    return (text or "").removesuffix("T00:00:00Z")
