"""Structured logs with one correlation id across all hops."""

import logging
import sys
from typing import Any

import structlog

from runtime.settings import Settings

get_logger = structlog.get_logger


def configure(service: str, settings: Settings) -> None:
    """Set up logging once per process: JSON lines for machines, or coloured text."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer()
    )
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    _route_standard_library(shared, renderer)
    structlog.contextvars.bind_contextvars(service=service, instance=settings.tessera_instance)


def _route_standard_library(shared: list[Any], renderer: Any) -> None:
    """Let libraries' warnings come out in the same form."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
