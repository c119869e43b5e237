"""What a program that stays tells on stderr: a line for each event, for people or for programs."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Where a record keeps what else is known of an event: ``extra={"fields": {...}}``.
_FIELDS: Final = "fields"


def log_to_stderr(form: Literal["text", "json"], level: int = logging.INFO) -> None:
    """Let every logger of this process write to stderr.

    Args:
        form: ``text`` is ``time level message key=value ...``, ``json`` one object a line.
        level: below which nothing is told.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = "".join(f" {_word(key)}={_value(value)}" for key, value in _fields(record).items())
        message = record.getMessage().replace("\n", "; ")
        trace = f"\n{self.formatException(record.exc_info)}" if record.exc_info else ""
        return f"{_time(record)} {record.levelname} {message}{fields}{trace}"


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        told: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **{_word(key): value for key, value in _fields(record).items()},
        }
        if record.exc_info:
            told["traceback"] = self.formatException(record.exc_info)
        return json.dumps(told, ensure_ascii=False, default=str)


def _fields(record: logging.LogRecord) -> Mapping[str, Any]:
    return getattr(record, _FIELDS, {})


def _word(key: str) -> str:
    return key.replace(" ", "_")


def _value(value: object) -> str:
    text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return json.dumps(text, ensure_ascii=False) if not text or any(it in text for it in ' "=\n') else text


def _time(record: logging.LogRecord) -> str:
    """RFC 3339, in UTC."""
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03d}Z"
