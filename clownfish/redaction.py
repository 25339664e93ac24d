"""What may be shown of a source's name: no user, no password (layer 0).

Addresses of cameras hold both, in several places; logs, statuses and errors are passed on. Rather too much is hidden
than too little: a password may itself hold `/` or `@`.
"""

from __future__ import annotations

import re

_USER = re.compile(r"(?<=://)[^\s'\"!]*@")
_WORDS = r"pass|passwd|password|pwd|pw|token|secret|key|auth|user-pw|user-id|user|username"
_NAMED = re.compile(rf"(?i)(?<![a-z0-9])({_WORDS})(\s*=\s*)(\"[^\"]*\"|'[^']*'|[^\s&'\"!]+)")
HIDDEN = "***"


def redacted(text: str) -> str:
    """`text` without the user and password of any address (`rtsp://user:secret@host`), query (`?password=secret`) or
    pipeline (`user-pw=secret`) in it."""
    return _NAMED.sub(rf"\1\2{HIDDEN}", without_users(text))


def without_users(text: str) -> str:
    """The same of addresses alone, for texts that may speak of keys and tokens for a good reason."""
    return _USER.sub(f"{HIDDEN}@", text) if "://" in text else text
