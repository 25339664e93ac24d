"""Logging with structlog: a line for people on a terminal, JSON for machines; always to standard error (layer 1).

`service` is bound at start; whoever knows a stream, an epoch or a window binds `stream`, `epoch`, `t` with its event.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from clownfish.redaction import without_users

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure(service: str, format: str = "auto", level: str = "info") -> None:
    """Set up logging for this process, once, at its start. `format` is auto, console or json."""
    people = format == "console" or (format == "auto" and sys.stderr.isatty())
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()) if people else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S.%f" if people else "iso", utc=not people),
            structlog.processors.StackInfoRenderer(),
            _hide,
            *([] if people else [structlog.processors.dict_tracebacks]),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(service=service)


def _hide(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """No line says the password in an address, whoever wrote it."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = without_users(value)
    return event


def get_logger() -> Any:
    """The logger; `log.info("event in words", key=value)`."""
    return structlog.get_logger()
