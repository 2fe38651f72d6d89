"""Arguments that decide how much work or memory one call takes.

A scalar call can't be interrupted, and a table of a million rows can be made with nine
characters. So these arguments must be literals within `GuardLimits`.

Belongs here: one rule per `bound` that `query.functions` names.
Does not belong here: which functions exist (`query.functions`), sizes of the tree (`nodes`).
"""

import re
from collections.abc import Callable, Mapping, Sequence

from sqlglot import exp

from lake_api.errors import QueryRejected
from lake_api.query.functions import FUNCTIONS
from lake_api.query.guard.calls import called_name
from lake_api.query.guard.codes import Code, refusal
from lake_api.query.guard.constants import (
    interval_days,
    is_number_cast,
    moment_days,
    number_of,
)
from lake_api.query.guard.limits import GuardLimits
from lake_api.query.guard.nodes import span

_WIDTH = re.compile(r"\d+")
# What stands between the colon and the end of a field; `{{` is a brace. A brace inside a field
# takes a width from another argument.
_FORMAT_FIELD = re.compile(r"\{\{|\{[^{}:]*(?::([^{}]*(?:\{[^{}]*\}?)*[^{}]*))?")
# Flags, width, precision; `%%` is a percent sign.
_PRINTF_FIELD = re.compile(r"%(?!%)([^A-Za-z%]*)|%%")
_REGEX_OPERATORS = (exp.RegexpLike, exp.RegexpILike, exp.SimilarTo)
_COUNTED = (exp.Min, exp.Max, exp.ArgMax, exp.ArgMin)
_MANY_BAR_CHARS = 200
_LENGTHENING = frozenset(
    {
        "array_agg", "array_to_string", "group_concat", "lpad", "list_aggregate", "list_reduce",
        "list_resize", "listagg", "reduce", "repeat", "replace", "rpad", "string_agg", "translate",
        "regexp_replace", "concat", "concat_ws", "||",
        "WITH RECURSIVE",
    }
)  # fmt: skip
"""Functions that make a long text of a short one."""


class Bounds:
    """The bounds of one query; `growth` is what its repeating calls can make together."""

    def __init__(self, sql: str, limits: GuardLimits) -> None:
        self._sql = sql
        self._limits = limits
        self._factor = 1.0
        self._longest = 1.0

    def check(self, nodes: Sequence[exp.Expr]) -> None:
        """Judge the arguments of every call.

        Raises:
            QueryRejected: one is no literal where it must be, or too large.
        """
        for node in nodes:
            if isinstance(node, _REGEX_OPERATORS):
                self.regex(node, "a regular expression")
            elif isinstance(node, _COUNTED) and node.args.get("count"):
                self._count_is(node.args["count"], node)
            elif isinstance(node, exp.Columns):
                self._columns(node)
            elif isinstance(node, exp.Cast) and _has_variant(node.to):
                self._variant(node, nodes)
            elif isinstance(node, exp.Func):
                name = called_name(node, self._sql)
                known = FUNCTIONS.get(name) if name else None
                rule = _RULES.get(known.bound) if known is not None else None
                if known is not None and rule is not None:
                    self._refuse_method(node, known.name)
                    rule(self, node, known.name)

    def _refuse_method(self, node: exp.Expr, name: str) -> None:
        # As `x.repeat(3)` the arguments stand one place further left.
        if _is_method(node):
            raise self._refuse(
                node,
                Code.ARGUMENT_NOT_LITERAL,
                f"{name} can't be called with a dot, because its arguments are bounded.",
                f"Write {name}(…) with all arguments inside.",
            )

    def _arguments(self, node: exp.Expr) -> list[exp.Expr]:
        if isinstance(node, exp.Anonymous):
            return list(node.expressions)
        keys = ("this", "expression", "times", "expressions")
        found: list[exp.Expr] = []
        for key in keys:
            value = node.args.get(key)
            if isinstance(value, exp.Expr):
                found.append(value)
            elif isinstance(value, list):
                found.extend(value)
        return found

    def _argument(self, node: exp.Expr, index: int) -> exp.Expr | None:
        arguments = self._arguments(node)
        return arguments[index] if index < len(arguments) else None

    def _bounded(self, count: exp.Expr | None, node: exp.Expr, name: str) -> float:
        """The most that a count can be: a literal, or `least(anything, literal)`."""
        value = number_of(count)
        if count is not None and (isinstance(count, exp.Paren) or is_number_cast(count)):
            return self._bounded(count.this, node, name)
        if value is None and isinstance(count, exp.Least):
            known = [number_of(part) for part in (count.this, *count.expressions)]
            value = min((part for part in known if part is not None), default=None)
        if value is None:
            raise self._refuse(
                node,
                Code.ARGUMENT_NOT_LITERAL,
                f"How much {name} makes is not written as a number.",
                "Write the number, or least(…, 100).",
            )
        return value

    def _grow(self, node: exp.Expr, name: str) -> None:
        if self._factor * self._longest > self._limits.max_growth:
            raise self._refuse(
                node,
                Code.ARGUMENT_TOO_LARGE,
                f"{name} could make more than {self._limits.max_growth} characters or items.",
                "Use a smaller number.",
            )

    def repeat(self, node: exp.Expr, name: str) -> None:
        """How often a text is repeated; repeats of repeats multiply."""
        subject, count = self._argument(node, 0), self._argument(node, 1)
        times = max(1.0, self._bounded(count, node, name))
        if isinstance(subject, exp.Literal) and subject.is_string:
            self._longest = max(self._longest, times * len(subject.name))
        else:
            self._factor *= times
        self._grow(node, name)

    def pad(self, node: exp.Expr, name: str) -> None:
        """How long a text or list is made."""
        length = self._bounded(self._argument(node, 1), node, name)
        self._longest = max(self._longest, length)
        self._grow(node, name)

    def bar(self, node: exp.Expr, name: str) -> None:
        """How wide a bar is drawn."""
        width = self._argument(node, 3)
        if width is not None:
            self._at_most(self._bounded(width, node, name), _MANY_BAR_CHARS, node, name)

    def to_base(self, node: exp.Expr, name: str) -> None:
        """How many digits are written at least."""
        length = self._argument(node, 2)
        if length is not None:
            self._at_most(self._bounded(length, node, name), 64, node, name)

    def count(self, node: exp.Expr, name: str) -> None:
        """How many values an aggregate keeps."""
        arguments = self._arguments(node)
        if len(arguments) > 1:
            self._count_is(arguments[-1], node, name)

    def _count_is(self, count: exp.Expr, node: exp.Expr, name: str = "this function") -> None:
        value = self._bounded(count, node, name)
        self._at_most(value, self._limits.max_count_argument, node, name)

    def _at_most(self, value: float, allowed: float, node: exp.Expr, name: str) -> None:
        if value > allowed:
            raise self._refuse(
                node,
                Code.ARGUMENT_TOO_LARGE,
                f"The number given to {name} is above {allowed:g}.",
                f"Use at most {allowed:g}.",
            )

    def _text(
        self,
        text: exp.Expr | None,
        node: exp.Expr,
        what: str,
        *,
        hint: str = "Write it as '…'; to look for the text of another column use contains or LIKE.",
    ) -> str:
        if isinstance(text, exp.Literal) and text.is_string:
            return str(text.name)
        raise self._refuse(
            node, Code.ARGUMENT_NOT_LITERAL, f"{what} is not written as a string.", hint
        )

    def regex(self, node: exp.Expr, name: str) -> None:
        """The pattern of a regular expression."""
        del name
        pattern = self._text(self._argument(node, 1), node, "The regular expression")
        self._pattern(pattern, node)

    def _pattern(self, pattern: str, node: exp.Expr) -> None:
        if len(pattern) > self._limits.max_pattern_chars:
            raise self._refuse(
                node,
                Code.ARGUMENT_TOO_LARGE,
                f"The regular expression has more than {self._limits.max_pattern_chars} "
                "characters.",
                "Shorten it.",
            )

    def _columns(self, node: exp.Columns) -> None:
        if isinstance(node.this, exp.Literal):
            self._pattern(str(node.this.name), node)

    def format(self, node: exp.Expr, name: str) -> None:
        """The widths inside a format string."""
        template = self._text(self._argument(node, 0), node, "The format")
        fields = _PRINTF_FIELD if name == "printf" else _FORMAT_FIELD
        specified = fields.findall(template)
        if any("*" in field or "{" in field for field in specified):
            raise self._refuse(
                node,
                Code.ARGUMENT_NOT_LITERAL,
                "A width inside the format is not written as a number.",
                "Write the number.",
            )
        widths = [int(digits[:9]) for field in specified for digits in _WIDTH.findall(field)]
        self._at_most(max(widths, default=0), self._limits.max_format_width, node, name)

    def structure(self, node: exp.Expr, name: str) -> None:
        """The structure that a JSON text is read as: a type, which the engine reads recursively."""
        written = self._text(
            self._argument(node, 1),
            node,
            f"The structure of {name}",
            hint="""Write it as a literal, such as '{"a": "BIGINT"}'.""",
        )
        depth = deepest = 0
        for sign in written:
            depth += (sign in "[{") - (sign in "]}")
            deepest = max(deepest, depth)
        self._at_most(deepest, self._limits.max_nesting, node, f"{name} as the depth of its type")
        if "variant" in written.lower():
            raise self._refuse(
                node,
                Code.ARGUMENT_TOO_LARGE,
                f"{name} can't make a VARIANT.",
                "Use JSON in its place.",
            )

    def _variant(self, node: exp.Cast, nodes: Sequence[exp.Expr]) -> None:
        """A text that is made long can be nested more deeply than a VARIANT can be read."""
        for other in nodes:
            name = called_name(other, self._sql) if isinstance(other, exp.Func) else None
            if isinstance(other, exp.DPipe):
                name = "||"
            elif isinstance(other, exp.With) and other.args.get("recursive"):
                name = "WITH RECURSIVE"
            if name and (name in _LENGTHENING or name.lower() in _LENGTHENING):
                raise self._refuse(
                    node,
                    Code.ARGUMENT_TOO_LARGE,
                    f"A query that makes longer values with {name} can't cast to VARIANT.",
                    f"Keep the value as JSON, or write the query without {name}.",
                )

    def aggregate_name(self, node: exp.Expr, name: str) -> None:
        """The aggregate that a list function calls by name."""
        called = self._text(self._argument(node, 1), node, f"The aggregate of {name}").lower()
        known = FUNCTIONS.get(called)
        if known is None or not known.allowed or "aggregate" not in known.kinds:
            raise self._refuse(
                node,
                Code.FUNCTION_NOT_ALLOWED,
                f"{name} calls something that is no allowed aggregate.",
                "Name an aggregate such as 'sum', 'avg' or 'max'.",
            )
        # Its own further arguments: how many to keep, which quantiles, what to put between.
        for further in self._arguments(node)[2:]:
            items = further.expressions if isinstance(further, exp.Array) else [further]
            for item in items:
                if not (isinstance(item, exp.Literal) and item.is_string):
                    self._count_is(item, node, name)

    def distance(self, node: exp.Expr, name: str) -> None:
        """Two texts are compared: how long they are, the worker sees (`bounded_functions`)."""
        arguments = self._arguments(node)
        if len(arguments) > 1 and all(self._is_long(text) for text in arguments[:2]):
            raise self._refuse(
                node,
                Code.ARGUMENT_TOO_LARGE,
                f"{name} compares two texts of more than {self._limits.max_distance_chars} "
                "characters.",
                f"Cut one of them: left(x, {self._limits.max_distance_chars}).",
            )

    def _is_long(self, text: exp.Expr) -> bool:
        return isinstance(text, exp.Literal) and len(text.name) > self._limits.max_distance_chars

    def range(self, node: exp.Expr, name: str) -> None:
        """How many values a series has."""
        if not isinstance(node, exp.GenerateSeries):
            raise self._refuse(
                node,
                Code.ARGUMENT_NOT_LITERAL,
                f"{name} is called in an unusual way.",
                f"Write {name}(start, stop, step).",
            )
        rows = self._series_rows(node, name)
        if rows > self._limits.max_series_rows:
            raise self._refuse(
                node,
                Code.ARGUMENT_TOO_LARGE,
                f"{name} would make more than {self._limits.max_series_rows} values.",
                "Use a shorter range or a larger step.",
            )
        if not _makes_rows(node):
            self._factor *= max(1.0, rows)
            self._grow(node, name)

    def _series_rows(self, node: exp.GenerateSeries, name: str) -> float:
        start, end, step = (node.args.get(key) for key in ("start", "end", "step"))
        numbers = number_of(start), number_of(end), 1.0 if step is None else number_of(step)
        if numbers[0] is not None and numbers[1] is not None and numbers[2]:
            # A range ends before its end; a series includes it.
            return _length(numbers[0], numbers[1], numbers[2]) - (name == "range")
        stride = interval_days(step)
        first, last = moment_days(start), moment_days(end)
        if stride and first is not None and last is not None:
            return _length(first, last, stride)
        if stride and stride >= 1 and isinstance(node.parent, (exp.Explode, exp.Unnest)):
            # From one column's day to another's, a row per day: as long as the data's history.
            return 1.0
        raise self._refuse(
            node,
            Code.ARGUMENT_NOT_LITERAL,
            f"How long {name} gets can't be seen from its arguments.",
            "Write its ends as literals, such as DATE '2026-01-01' or current_date, and its step "
            "as a number or INTERVAL.",
        )

    def _refuse(self, node: exp.Expr, code: Code, detail: str, hint: str) -> QueryRejected:
        start, end = span(node) or (None, None)
        return refusal(code, self._sql, detail, start=start, end=end, hint=hint)


_RULES: Mapping[str, Callable[[Bounds, exp.Expr, str], None]] = {
    "aggregate_name": Bounds.aggregate_name,
    "bar": Bounds.bar,
    "count": Bounds.count,
    "distance": Bounds.distance,
    "format": Bounds.format,
    "pad": Bounds.pad,
    "range": Bounds.range,
    "regex": Bounds.regex,
    "repeat": Bounds.repeat,
    "resize": Bounds.pad,
    "structure": Bounds.structure,
    "to_base": Bounds.to_base,
}
BOUND_RULES: frozenset[str] = frozenset(_RULES)
"""What `functions.csv` may name as a bound, beside `volatile`, which bounds no argument."""


def _is_method(node: exp.Expr) -> bool:
    """Whether a call stands behind a dot, and not only before one."""
    part = node
    while isinstance(part.parent, exp.Dot):
        if part.arg_key == "expression":
            return True
        part = part.parent
    return False


def _has_variant(kind: exp.Expr | None) -> bool:
    return isinstance(kind, exp.DataType) and any(
        part.this == exp.DataType.Type.VARIANT for part in kind.find_all(exp.DataType)
    )


def _makes_rows(node: exp.Expr) -> bool:
    """Whether a series becomes rows, which stream and can be interrupted, and not one list."""
    return isinstance(node.parent, (exp.Explode, exp.Unnest, exp.Table, exp.Lateral))


def _length(start: float, end: float, step: float) -> float:
    return max(0.0, (end - start) / step + 1)
