"""Test tool: fetch a page without stopping the loop."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request


def get(url: str, token: str = "") -> tuple[int, str]:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


async def fetch(url: str, token: str = "") -> tuple[int, str]:
    return await asyncio.get_running_loop().run_in_executor(None, get, url, token)
