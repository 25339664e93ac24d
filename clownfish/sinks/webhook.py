"""The sink `webhook`: each answer or event is one POST of JSON to an address (layer 1).

    Content-Type: application/json
    Idempotency-Key: STREAM/EPOCH/T:REVISION       the same when it is tried again
    X-Clownfish-Timestamp: seconds since 1970      of this try
    X-Clownfish-Signature: sha256=HEX              HMAC-SHA256 of TIMESTAMP.BODY, where there is a secret

2xx is taken. 408, 425, 429, 5xx and no answer at all are tried again, in order, after as long as Retry-After says or a
back-off; anything else (a redirect, too) is a refusal: counted and not tried again. With http.client in a thread: it is
one request at a time over one connection, and needs no library.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import http.client
import socket
import ssl
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from clownfish import __version__
from clownfish.errors import SinkError
from clownfish.sinks.base import SinkContext
from clownfish.sinks.spooled import Spooled, Unreachable, never, read_secret, record_in
from clownfish.spool import Entry

AGAIN = frozenset({408, 425, 429})


class Webhook(Spooled):
    """Options in docs/sinks.md."""

    def __init__(
        self,
        url: str,
        *,
        context: SinkContext,
        headers: Mapping[str, str] | None = None,
        secret_file: str = "",
        secret_env: str = "",
        ca: str = "",
        timeout_s: float = 10.0,
        **spool: Any,
    ) -> None:
        """Opens the spool; the target may be away. Raises SinkError for a secret or certificate that is not there."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or not timeout_s > 0:
            raise ValueError(f"url {url!r}, timeout_s {timeout_s}; expected http[s]://HOST[:PORT]/PATH, above 0 s")
        secret = read_secret(secret_file, secret_env, "secret")
        self._secret = None if secret is None else secret.encode()
        self._host, self._port = parts.hostname, parts.port
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._headers = dict(headers or {})
        self._timeout_s = timeout_s
        self._tls: ssl.SSLContext | None = None
        if parts.scheme == "https":
            try:
                self._tls = ssl.create_default_context(cafile=ca or None)
            except OSError as error:
                raise SinkError(f"ca {ca}: cannot be used ({error})") from error
        super().__init__(context, **spool)

    @contextlib.asynccontextmanager
    async def _session(self) -> AsyncIterator[Webhook]:
        self._connection = self._connect()
        try:
            yield self
        finally:
            self._connection.close()

    async def send(self, entries: Sequence[Entry]) -> None:
        """Raises Unreachable where a message is to be tried again."""
        for entry in entries:
            status, wait_s = await asyncio.to_thread(self._post, entry)
            if status in AGAIN or status >= 500:
                raise Unreachable(f"HTTP {status}", wait_s)
            if not 200 <= status < 300:
                self._own[f'refused{{status="{status}"}}'] += 1

    async def lost(self) -> None:
        await never()

    def _connect(self) -> http.client.HTTPConnection:
        if self._tls is not None:
            return http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout_s, context=self._tls)
        return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)

    def _post(self, entry: Entry) -> tuple[int, float]:
        """(status, seconds that the target wants to be left alone). Runs in a thread."""
        record = record_in(entry)
        timestamp = str(int(time.time()))
        headers = {
            "User-Agent": f"clownfish/{__version__}",
            **self._headers,
            "Content-Type": "application/json",
            "Idempotency-Key": f"{record['key']}:{record['revision']}",
            "X-Clownfish-Timestamp": timestamp,
        }
        if self._secret is not None:
            headers["X-Clownfish-Signature"] = signature(self._secret, timestamp, entry.data)
        kept_alive = self._connection.sock is not None
        try:
            try:
                return self._exchange(entry.data, headers)
            except (ConnectionError, http.client.BadStatusLine):
                if not kept_alive:
                    raise
                return self._exchange(entry.data, headers)  # the target had closed a connection that was idle
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"{self._host}: {error or type(error).__name__}") from error

    def _exchange(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, float]:
        try:
            self._connection.request("POST", self._path, body, dict(headers))
            if self._connection.sock is not None:
                self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            answer = self._connection.getresponse()
            answer.read(65536)
            if not answer.isclosed():  # a long body: nobody reads it
                self._connection.close()
        except BaseException:
            self._connection.close()
            raise
        wait = answer.getheader("Retry-After", "")
        return answer.status, float(wait) if wait.isdigit() else 0.0


def signature(secret: bytes, timestamp: str, body: bytes) -> str:
    """What a receiver computes to compare, of the bytes as they came."""
    return "sha256=" + hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
