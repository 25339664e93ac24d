"""A browser that looks at the live page, and when it drew what: `python -m clownfish.lab.browser URL FILE`, till ended.

The file gets lines of JSON: `{"opened_ns": …}` when it was told to open the page, then `{"stream", "t", "at_ns"}` for
each newest answer of the first stream, as it was drawn; times are CLOCK_MONOTONIC. An answer of a paint that came too
late to be seen is not there. Needs playwright and a Chromium of the machine.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO, Any

PATIENCE_S = 60.0
_RETRY_S = 0.2
_SETTLE_MS = 3000
"""Between the page being served and opening it: the graph is under way then, as it is when somebody looks."""
_WATCH = """() => {
  const seen = () => {
    const card = document.querySelector('#streams > *');
    const badge = card?.querySelector('.badge');
    if (!badge?.dataset.t || badge.dataset.t === window.seen) return;
    window.seen = badge.dataset.t;
    drew(card.querySelector('.name').textContent, Number(badge.dataset.t));
  };
  const all = {subtree: true, childList: true, attributes: true};
  new MutationObserver(seen).observe(document.getElementById('streams'), all);
  seen();
}"""


def chromium() -> str | None:
    """Where this machine's Chromium is; None without one."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def look(url: str, out: IO[str]) -> None:
    """Open the page once it is served, and write until killed."""
    from playwright.sync_api import sync_playwright

    def drew(stream: str, t: int) -> None:
        _write(out, stream=stream, t=t, at_ns=time.monotonic_ns())

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        page = browser.new_page()
        page.expose_function("drew", drew)
        page.add_init_script(f"addEventListener('DOMContentLoaded', {_WATCH})")
        _wait(url)
        page.wait_for_timeout(_SETTLE_MS)
        _write(out, opened_ns=time.monotonic_ns())
        page.goto(url)
        while True:
            page.wait_for_timeout(1000)  # playwright calls `drew` meanwhile


def _wait(url: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        try:
            urllib.request.urlopen(url, timeout=1).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(_RETRY_S)  # the graph comes up later than we do


def _write(out: IO[str], **values: Any) -> None:
    out.write(json.dumps(values) + "\n")
    out.flush()


if __name__ == "__main__":
    with Path(sys.argv[2]).open("w", encoding="utf-8") as file:
        look(sys.argv[1], file)
