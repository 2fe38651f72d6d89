"""The caller's text before any parser sees it: a small lexer that refuses what is ambiguous.

Belongs here: characters, quoting, comments, and bounds that keep the parser from working long.
Does not belong here: anything that needs a tree.

The lexer knows less SQL than both parsers. What it can't split in the one plain way is refused,
so that sqlglot and DuckDB get only text that they split alike.
"""

import re
import unicodedata
from typing import NamedTuple

from lake_api.errors import QueryRejected
from lake_api.query.guard.codes import Code, refusal
from lake_api.query.guard.limits import GuardLimits

_TOKEN = re.compile(
    r"""
    (?P<space>(?:[ \t\n]|\r\n)+)
  | (?P<comment>--[^\n]*)
  | (?P<block>/\*.*?\*/)
  | (?P<string>'(?:[^']|'')*')
  | (?P<name>"(?:[^"]|"")*")
  | (?P<number>(?:\d[\d_]*(?:\.(?:\d[\d_]*)?)?|\.\d[\d_]*)(?:[eE][+-]?\d+)?)
  | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<sign>(?!/\*)[-+*/%^<>=!~|&@#?:;,.()\[\]{}])
    """,
    re.VERBOSE | re.DOTALL,
)
_PLAIN = re.compile(r"(?:[\t\n\x20-\x7e]|\r\n)*")
_FOREIGN = re.compile(r"[^\t\n\x20-\x7e]")
_REFUSED_CLASSES = frozenset({"Cf", "Zs", "Zl", "Zp", "Cc", "Cs", "Co", "Cn"})
# Neither parser ends a comment at a space; what breaks lines or turns the text round stays out.
_REFUSED_IN_COMMENTS = _REFUSED_CLASSES - {"Zs"}
_BYTE_ORDER_MARK = "\ufeff"
_ZERO_WIDTH_JOINER = "\u200d"  # a part of many emoji
_OPENING, _CLOSING = "([{", ")]}"
_PREFIX_SIGNS = frozenset("-+~@!")


class Token(NamedTuple):
    """A piece of the text that is neither space nor comment."""

    kind: str
    start: int
    end: int
    text: str


def without_mark(sql: str) -> str:
    """`sql` with a space in place of a leading byte order mark, so that no place in it moves.

    The engine reads the mark as a space, and the first parser as a part of a name.
    """
    return " " + sql[1:] if sql.startswith(_BYTE_ORDER_MARK) else sql


def lex(sql: str, limits: GuardLimits) -> list[Token]:
    """The tokens of `sql`, a final semicolon left out.

    Raises:
        QueryRejected: the text is too large, holds a refused character, or is ambiguous.
    """
    if len(sql) > limits.max_chars:
        raise refusal(
            Code.QUERY_TOO_LONG,
            sql,
            f"The SQL has {len(sql)} characters; at most {limits.max_chars} are read.",
            hint="Select fewer columns by name, or split the question into several queries.",
        )
    _refuse_nul_and_surrogates(sql)
    plain = _PLAIN.fullmatch(sql) is not None
    tokens: list[Token] = []
    position = 0
    while position < len(sql):
        match = _TOKEN.match(sql, position)
        if match is None:
            raise _unlexed(sql, position)
        kind, end = str(match.lastgroup), match.end()
        text = match.group()
        if not plain:
            _refuse_foreign(sql, kind, position, text)
        if kind in {"block", "comment"}:
            _refuse_odd_comment(sql, kind, position, text)
        elif kind != "space":
            token = Token(kind, position, end, text)
            _refuse_ambiguous(sql, tokens[-1] if tokens else None, token)
            tokens.append(token)
        position = end
    _refuse_size(sql, tokens, limits)
    _refuse_operators(sql, tokens)
    return _one_statement(sql, tokens)


def _refuse_nul_and_surrogates(sql: str) -> None:
    try:
        sql.encode()
    except UnicodeEncodeError as error:
        raise refusal(
            Code.INVALID_CHARACTER,
            sql,
            "The SQL is no valid UTF-8.",
            start=error.start,
            hint="Send the text as UTF-8.",
        ) from None
    offset = sql.find("\0")
    if offset >= 0:
        raise refusal(
            Code.INVALID_CHARACTER,
            sql,
            "The SQL holds a NUL character.",
            start=offset,
            hint="Remove the character.",
        )


def _refuse_foreign(sql: str, kind: str, start: int, text: str) -> None:
    if kind == "string":
        return
    for match in _FOREIGN.finditer(text):
        character = match.group()
        if character == "\r" and sql[start + match.end() :][:1] == "\n":
            continue
        if kind in _FOREIGN_KINDS and _is_harmless(character, kind):
            continue
        raise _invalid_character(sql, start + match.start())


_FOREIGN_KINDS = frozenset({"name", "comment", "block"})


def _is_harmless(character: str, kind: str) -> bool:
    refused = _REFUSED_CLASSES if kind == "name" else _REFUSED_IN_COMMENTS
    if kind != "name" and character == _ZERO_WIDTH_JOINER:
        return True
    return unicodedata.category(character) not in refused


def _invalid_character(sql: str, offset: int) -> QueryRejected:
    character = sql[offset]
    return refusal(
        Code.INVALID_CHARACTER,
        sql,
        f"The character U+{ord(character):04X} stands outside of a string literal.",
        start=offset,
        hint=_in_its_place(sql, offset),
    )


def _in_its_place(sql: str, offset: int) -> str:
    """What to write in place of a character that may not stand where it does."""
    character = sql[offset]
    category = unicodedata.category(character)
    plain = unicodedata.normalize("NFKC", character)
    hint = "Outside of '…' use printable ASCII, tabs and line breaks only."
    if character in _SINGLE_QUOTES:
        hint = "It is a typographic quote: write strings as '…', with the plain sign '."
    elif character in _DOUBLE_QUOTES:
        hint = "It is a typographic quote: write strings as '…' and names as \"…\"."
    elif plain in _SIGNS_OF_SQL:
        hint = f"Write the plain sign {plain} in its place."
    elif category == "Pd" or character == "\u2212":
        hint = "Write the plain sign - in its place."
    elif category in {"Zs", "Zl", "Zp"} or character in "\r\v\f\x85":
        hint = "Write an ordinary space or line break in its place."
    elif category == "Cf":
        hint = "The character is invisible; remove it."
    elif category[0] in "LMN":
        found = _FOREIGN_WORD.search(sql, _word_start(sql, offset))
        word = found.group() if found else character
        hint = f'Write names with such letters in double quotes: "{word[:40]}".'
    return hint


_SINGLE_QUOTES = "\u2018\u2019\u201a\u201b\u2032\uff07"
_DOUBLE_QUOTES = "\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb\uff02"
_SIGNS_OF_SQL = frozenset("-+*/%^<>=!~|&@#?:;,.()[]{}")
_FOREIGN_WORD = re.compile(r"\w+")


def _word_start(sql: str, offset: int) -> int:
    while offset and (sql[offset - 1].isalnum() or sql[offset - 1] == "_"):
        offset -= 1
    return offset


def _unlexed(sql: str, start: int) -> QueryRejected:
    character = sql[start]
    if character in "'\"" or sql.startswith("/*", start):
        what = {"'": "string", '"': "quoted name"}.get(character, "comment")
        return refusal(
            Code.UNTERMINATED,
            sql,
            f"The {what} that starts here never ends.",
            start=start,
            end=start + 20,
            hint="Close it; inside of quotes, write the quote twice.",
        )
    if character == "$":
        return refusal(
            Code.DOLLAR_QUOTE,
            sql,
            "Dollar quotes and $ parameters are not allowed.",
            start=start,
            end=start + 20,
            hint="Write values into the SQL, and strings as '…', with '' for a quote inside.",
        )
    if character in "`\\":
        return refusal(
            Code.AMBIGUOUS_TEXT,
            sql,
            f"The sign {character} has no meaning here.",
            start=start,
            hint=_backtick_hint(sql, start) or "Quote names as \"…\" and strings as '…'.",
        )
    return _invalid_character(sql, start)


def _backtick_hint(sql: str, start: int) -> str | None:
    if sql.startswith("```", start):
        return "Send the SQL alone, without the Markdown fence around it."
    found = re.compile(r"`([^`]{1,128})`").match(sql, start)
    if found is None:
        return None
    if found[1].isidentifier():
        return f"Write the name without backticks: {found[1]}."
    return "Write a dataset's SQL name alone, without backticks, project or schema."


def _refuse_odd_comment(sql: str, kind: str, start: int, text: str) -> None:
    if kind == "block" and (text.startswith("/*+") or "/*" in text[2:]):
        raise refusal(
            Code.AMBIGUOUS_TEXT,
            sql,
            "Comments inside comments and /*+ hints are not allowed.",
            start=start,
            end=start + len(text),
            hint="Remove the comment.",
        )


def _refuse_ambiguous(sql: str, before: Token | None, token: Token) -> None:
    if token.text == "?" or (
        token.text == ":" and before is not None and before.text.upper() in _BEFORE_PARAMETERS
    ):
        raise refusal(
            Code.PARAMETER,
            sql,
            "Parameters can't be bound here.",
            start=token.start,
            end=token.end,
            hint="Write the value into the SQL.",
        )
    if before is None:
        return
    glued = before.end == token.start
    if (
        glued
        and token.kind in {"string", "name"}
        and _UNICODE_PREFIX.search(sql[max(0, token.start - 3) : token.start])
    ):
        quoted = "'…' string" if token.kind == "string" else 'name in "…"'
        raise refusal(
            Code.STRING_PREFIX,
            sql,
            "U& is glued to the quote after it.",
            start=before.start - 1,
            end=token.end,
            hint=f"Write the characters themselves into a plain {quoted}. For a bitwise AND of a "
            "column `u`, put spaces round the &.",
        )
    if token.kind == "string" and before.kind == "string":
        raise refusal(
            Code.AMBIGUOUS_TEXT,
            sql,
            "Two strings stand side by side.",
            start=before.start,
            end=token.end,
            hint="Join strings with ||.",
        )
    if not glued:
        return
    if (
        before.kind == "word"
        and token.kind in {"string", "name"}
        and before.text.upper() not in _BEFORE_QUOTES
    ):
        raise refusal(
            Code.STRING_PREFIX,
            sql,
            "A word is glued to the quote after it.",
            start=before.start,
            end=token.end,
            hint=_PREFIX_HINTS.get(before.text.upper())
            or "Use plain '…' strings; put a space before a quote that follows a keyword.",
        )
    pair = before.text + token.text
    if before.kind == "number" and token.kind == "word" and _OTHER_BASE.fullmatch(pair):
        raise refusal(
            Code.AMBIGUOUS_TEXT,
            sql,
            f"{pair[:20]} is a number in another base than ten.",
            start=before.start,
            end=token.end,
            hint=f"Write it in decimal: {_decimal(pair)}.",
        )
    number_then_word = before.kind == "number" and token.kind in {"word", "number"}
    name_then_number = token.kind == "number" and before.text not in _BEFORE_NUMBERS
    if number_then_word or name_then_number or pair in _ODD_PAIRS:
        raise refusal(
            Code.AMBIGUOUS_TEXT,
            sql,
            f"{pair[:20]} can be read in two ways.",
            start=before.start,
            end=token.end,
            hint="Put a space between the braces of nested structs, or the value in place of the "
            "template."
            if pair in {"{{", "{%"}
            else "Put a space between the two.",
        )


# Words after which both parsers begin a string or a quoted name without a space. None of them is a
# prefix of strings in any dialect: those have one letter, two, or an ampersand.
_BEFORE_QUOTE_WORDS = """
    DATE TIME TIMESTAMP TIMESTAMPTZ TIMETZ DATETIME INTERVAL ZONE UUID
    AND AS BETWEEN BY CASE DISTINCT ELSE ESCAPE FROM GLOB ILIKE IN JOIN LIKE LIMIT NOT ON OR SELECT
    THEN WHEN WHERE
"""
_BEFORE_QUOTES = frozenset(_BEFORE_QUOTE_WORDS.split())
_PREFIX_HINTS = {
    "E": "Write a plain '…' string; for escapes, chr(10) is a line break and chr(9) a tab: "
    "'a' || chr(10) || 'b'. A quote inside is written twice.",
    "N": "Write a plain '…' string without the N; every text is Unicode.",
    "U": "Write the characters themselves into a plain '…' string.",
    "X": r"Write bytes as '\xAA'::BLOB.",
    "B": "Write bits as '101'::BIT.",
    "R": "Write a plain '…' string; a backslash in it is only a backslash.",
}
_UNICODE_PREFIX = re.compile(r"(?<![A-Za-z0-9_\"])[uU]&\Z")
_OTHER_BASE = re.compile(r"0(?:[xX][0-9a-fA-F]{1,16}|[bB][01]{1,64}|[oO][0-7]{1,21})")


def _decimal(text: str) -> int:
    return int(text, 0)


_OPERATOR_SIGNS = frozenset("+-*/%^<>=!~|&@#")
# A run that holds one of these and ends in + or - is one operator to the engine.
_JOINS_SIGNS = re.compile(r"[~!@#%^&|]")
_OPERATOR_TEXT = """
    + - * / % ^ ** // < > <= >= = == <> != || -> ->> ~ !~ ~~ !~~ ~~* !~~* ~~~ & && | << >> @ @>
    <@ ^@ <-> <=> => #
"""
_OPERATORS = frozenset(_OPERATOR_TEXT.split())
_OPERATOR_HINTS = {
    "~*": "Write regexp_matches(text, 'pattern', 'i').",
    "!~*": "Write NOT regexp_matches(text, 'pattern', 'i').",
    "!": "Write NOT in place of !x, and factorial(x) in place of x!.",
    "|/": "Write sqrt(x).",
    "||/": "Write cbrt(x).",
    "!<": "Write >=.",
    "!>": "Write <=.",
    "===": "Write =.",
    "!==": "Write <>.",
    "=!": "Write <>.",
    "=<": "Write <=.",
    "=>": "Write >=.",
    "<<<": "Write < or <<.",
    "#>": "Write json_extract(text, '$.a.b').",
    "#>>": "Write json_extract_string(text, '$.a.b').",
    "@?": "Write json_exists(text, '$.a').",
    "@@": "Write contains(text, 'part') or regexp_matches(text, 'pattern').",
}
_BEFORE_SIGNS = _OPERATORS | {""}
# A colon after one of these starts no slice, struct field, cast or alias.
_BEFORE_PARAMETERS = frozenset(
    {*"(,=<>+-*/|", "SELECT", "WHERE", "AND", "OR", "BY", "LIMIT", "LIKE"}
)
_BEFORE_NUMBERS = frozenset("-+*/%^<>=!~|&@#:,([{")
_ODD_PAIRS = frozenset({"{{", "{#", "{%", "#}", "%}", "*/", "##", ".."})


def _refuse_size(sql: str, tokens: list[Token], limits: GuardLimits) -> None:
    if len(tokens) > limits.max_tokens:
        raise refusal(
            Code.QUERY_TOO_LARGE,
            sql,
            f"The SQL has {len(tokens)} tokens; at most {limits.max_tokens} are read.",
            hint="Shorten lists of values and columns, or split the question.",
        )
    depth = prefixes = 0
    for token in tokens:
        text = token.text.upper() if token.kind == "word" else token.text
        if text in _PREFIX_SIGNS or text == "NOT":
            prefixes += 1
        else:
            prefixes = 0
        if (token.kind == "sign" and text in _OPENING) or text == "CASE":
            depth += 1
        elif (token.kind == "sign" and text in _CLOSING) or text == "END":
            depth = max(0, depth - 1)
        if depth > limits.max_nesting or prefixes > limits.max_prefixes:
            raise refusal(
                Code.QUERY_TOO_DEEP,
                sql,
                f"More than {limits.max_nesting} brackets, or {limits.max_prefixes} signs in a "
                "row, stand around one expression.",
                start=token.start,
                hint="Name the inner parts in a WITH clause.",
            )


def _refuse_operators(sql: str, tokens: list[Token]) -> None:
    """Refuse runs of signs that are no operator, where one parser may see one and one several."""
    index = 0
    while index < len(tokens):
        first = index
        while _is_operator_sign(tokens[index]) and (
            index == first or tokens[index - 1].end == tokens[index].start
        ):
            index += 1
            if index == len(tokens):
                break
        if index == first:
            index += 1
            continue
        run = sql[tokens[first].start : tokens[index - 1].end]
        signed = not _JOINS_SIGNS.search(run) and run.rstrip("+-") in _BEFORE_SIGNS
        if run in _OPERATORS or signed:
            continue
        raise refusal(
            Code.AMBIGUOUS_TEXT,
            sql,
            f"{run[:20]} is not an operator of the lake's SQL.",
            start=tokens[first].start,
            end=tokens[index - 1].end,
            hint=_OPERATOR_HINTS.get(run)
            or "Put a space between operators, and write NOT instead of !.",
        )


def _is_operator_sign(token: Token) -> bool:
    return token.kind == "sign" and token.text in _OPERATOR_SIGNS


def _one_statement(sql: str, tokens: list[Token]) -> list[Token]:
    while tokens and tokens[-1].text == ";":
        tokens.pop()
    if not tokens:
        raise refusal(Code.EMPTY_QUERY, sql, "The SQL is empty.", hint="Send one SELECT statement.")
    for index, token in enumerate(tokens):
        if token.text == ";":
            after = tokens[index + 1] if index + 1 < len(tokens) else token
            raise refusal(
                Code.MULTIPLE_STATEMENTS,
                sql,
                "The SQL has more than one statement.",
                start=token.start,
                end=after.end,
                hint="Send one SELECT statement per call; name intermediate results in a WITH "
                "clause. Nothing needs to be set: the time zone is UTC.",
            )
    return tokens
