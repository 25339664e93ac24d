"""Who may look at the page."""

from __future__ import annotations

from pathlib import Path

import pytest

from clownfish.config import validate
from clownfish.errors import ConfigError
from clownfish.web.access import COOKIE, Access, read_token

TOKEN = "a-long-text-that-nobody-guesses"


@pytest.mark.parametrize("host", ["localhost", "localhost:8642", "127.0.0.1:8642", "[::1]:8642"])
def test_browsers_of_this_host_are_let_in(host: str) -> None:
    assert Access().refusal({"host": host}, {}, None) is None


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8642", "127.0.0.1.evil.example", "", "[", "10.0.0.7"])
def test_a_name_that_was_made_to_mean_this_host_is_not(host: str) -> None:
    said = Access().refusal({"host": host}, {}, None)
    assert said is not None
    assert "token_file" in said


def test_with_a_token_whoever_has_it_is_let_in_under_any_name() -> None:
    access = Access(TOKEN)
    for cookies, given in (({}, TOKEN), ({COOKIE: TOKEN}, None)):
        assert access.refusal({"host": "box.lan:8642"}, cookies, given) is None
    for cookies, given in (({}, None), ({}, ""), ({}, TOKEN[:-1]), ({COOKIE: "x"}, "ü")):
        assert access.refusal({"host": "localhost"}, cookies, given) is not None


def test_without_a_token_none_is_known() -> None:
    assert not Access().knows("")


def test_another_site_s_page_opens_no_socket() -> None:
    access = Access()
    assert access.same_origin({"host": "localhost:1", "origin": "http://localhost:1"})
    assert access.same_origin({"host": "localhost:1"})
    for origin in ("http://evil.example", "http://localhost:2", "null", "http://["):
        assert not access.same_origin({"host": "localhost:1", "origin": origin})


def test_a_token_is_read_and_a_bad_one_refused(tmp_path: Path) -> None:
    path = tmp_path / "token"
    assert read_token("") == ""
    path.write_text(f"{TOKEN}\n")
    assert read_token(str(path)) == TOKEN
    for wrong in ("short", "", "with a line\nbreak in it, which is no good", "ümlaut" * 9):
        path.write_text(wrong)
        with pytest.raises(ConfigError, match=r"page\.token_file .* expected 16"):
            read_token(str(path))
    with pytest.raises(ConfigError, match="cannot be read"):
        read_token(str(tmp_path / "none"))


def test_a_page_that_others_reach_needs_a_token() -> None:
    tree = {"worker": {"model": "x"}, "page": {"listen": "0.0.0.0:8642"}}
    with pytest.raises(ConfigError, match=r"page: others than this host reach 0\.0\.0\.0:8642: give token_file"):
        validate(tree, "x")
    tree["page"]["token_file"] = "/somewhere"
    assert validate(tree, "x").page is not None
