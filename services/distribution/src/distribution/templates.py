"""Liquid templates: no files, no includes, bounded work and output, HTML escaped."""

from functools import lru_cache
from typing import Any

from liquid import BoundTemplate, DictLoader, Environment
from liquid.exceptions import LiquidError
from markupsafe import escape

from contracts.payload import refuse
from distribution import limits


class _Bounded(Environment):
    loop_iteration_limit = limits.TEMPLATE_LOOPS_MAX
    output_stream_limit = limits.RENDERED_BYTES_MAX
    local_namespace_limit = limits.TEMPLATE_NAMESPACE_MAX
    context_depth_limit = limits.TEMPLATE_NESTING_MAX
    block_nesting_limit = limits.TEMPLATE_NESTING_MAX


def _environment(*, escapes: bool) -> Environment:
    made = _Bounded(autoescape=escapes, loader=DictLoader({}))
    for tag in ("include", "render", "extends", "block", "macro", "call"):
        made.tags.pop(tag, None)
    if escapes:
        # Upstream's data is never markup, so nothing may switch the escaping off.
        made.filters["safe"] = _still_escaped
        made.filters["escape_once"] = _still_escaped
    return made


def _still_escaped(value: Any) -> Any:
    return escape(value)


PLAIN = _environment(escapes=False)
HTML = _environment(escapes=True)


class BadTemplate(Exception):
    """The template cannot be rendered for this customer."""


def check(path: str, source: str) -> None:
    """Refuse a template that is no Liquid, naming the property."""
    try:
        PLAIN.from_string(source)
    except (LiquidError, RecursionError) as error:
        raise refuse(path, f"must be a Liquid template: {error}") from None


def render_text(source: str, variables: dict[str, Any]) -> str:
    """Return the text; raises :class:`BadTemplate`."""
    return _render(source, variables, escapes=False)


def render_html(source: str, variables: dict[str, Any]) -> str:
    """Return the HTML, every value escaped; raises :class:`BadTemplate`."""
    return _render(source, variables, escapes=True)


def render_subject(source: str, variables: dict[str, Any]) -> str:
    """Return one line: whatever a value holds, it cannot end the header."""
    line = " ".join(render_text(source, variables).split())
    return "".join(character for character in line if character.isprintable())[
        : limits.SUBJECT_LENGTH_MAX
    ]


def _render(source: str, variables: dict[str, Any], *, escapes: bool) -> str:
    try:
        return str(_parsed(source, escapes).render(**variables))
    except (LiquidError, RecursionError, ArithmeticError, TypeError, ValueError) as error:
        raise BadTemplate(f"{type(error).__name__}: {error}") from None


@lru_cache(maxsize=limits.TEMPLATES_CACHED_MAX)
def _parsed(source: str, escapes: bool) -> BoundTemplate:
    return (HTML if escapes else PLAIN).from_string(source)
