"""Who may look at the page: browsers on this host, or whoever has the token (layer 1: the standard library only).

Loopback alone keeps no page of the Web out: a name of its own may resolve to 127.0.0.1 ("DNS rebinding"), and a
WebSocket may be opened from any page. So on loopback the Host must be a loopback name, and a WebSocket's Origin the
page's own. With a token, the address is followed once with `?token=…`; a cookie, which no script can read, holds it
from then on.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from clownfish.errors import ConfigError

COOKIE = "clownfish"
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_LEAST = 16


def read_token(path: str) -> str:
    """The token in a file, "" for no file. Raises ConfigError where it cannot be read, or may be guessed."""
    if not path:
        return ""
    try:
        token = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"page.token_file {path}: cannot be read ({error}); write a long text there") from error
    if len(token) < _LEAST or not token.isascii() or not token.isprintable():
        raise ConfigError(
            f"page.token_file {path}: expected {_LEAST} or more characters of ASCII; for example the output of "
            "`python3 -c 'import secrets; print(secrets.token_urlsafe(24))'`"
        )
    return token


class Access:
    """`allowed_hosts`: names by which browsers may call this server when there is no token."""

    def __init__(self, token: str = "", allowed_hosts: tuple[str, ...] = _LOOPBACK) -> None:
        self._token = token
        self._hosts = allowed_hosts

    def refusal(self, headers: Mapping[str, str], cookies: Mapping[str, str], given: str | None) -> str | None:
        """Why this request is not let in, in words; None where it is. `given`: the token in its address."""
        try:
            host = urlsplit(f"//{headers.get('host', '')}").hostname or ""
        except ValueError:  # half an IPv6 address
            host = ""
        if self._token:
            if self.knows(given) or self.knows(cookies.get(COOKIE)):
                return None
            return "the token is missing or wrong; open the address that the graph printed"
        if host not in self._hosts:
            return f"this page is for browsers on its own host, not for {host[:80]!r}; give page.token_file to open it"
        return None

    def knows(self, token: str | None) -> bool:
        """Whether that is the token; never true without one."""
        return bool(self._token) and token is not None and hmac.compare_digest(token.encode(), self._token.encode())

    def same_origin(self, headers: Mapping[str, str]) -> bool:
        """Whether a WebSocket is opened by this server's own page. Programs that are no browsers send no Origin."""
        origin = headers.get("origin")
        try:
            return origin is None or urlsplit(origin).netloc == headers.get("host", "")
        except ValueError:
            return False
