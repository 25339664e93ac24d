"""No user and no password of a source is ever shown."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clownfish.redaction import redacted


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rtsp://user:secret@10.0.0.2:554/x", "rtsp://***@10.0.0.2:554/x"),
        ("rtsp://user:sec@ret/and:more@host/x", "rtsp://***@host/x"),
        ("http://host/video?user=ann&password=secret&res=1", "http://host/video?user=***&password=***&res=1"),
        (
            "rtspsrc location=rtsp://ann:secret@h/x user-pw=secret ! x",
            "rtspsrc location=rtsp://***@h/x user-pw=*** ! x",
        ),
        ('rtspsrc user-id="ann b" user-pw="se cret" ! x', "rtspsrc user-id=*** user-pw=*** ! x"),
        ("cannot open 'rtsp://ann:secret@h/x': refused", "cannot open 'rtsp://***@h/x': refused"),
        ("rtsp://10.0.0.2/x", "rtsp://10.0.0.2/x"),
        ("videotestsrc ! x264enc key-int-max=30 ! appsink", "videotestsrc ! x264enc key-int-max=30 ! appsink"),
        ("camera:0", "camera:0"),
    ],
)
def test_what_is_secret_is_hidden_and_nothing_else(text: str, expected: str) -> None:
    assert redacted(text) == expected


@given(
    secret=st.text(string.ascii_letters + string.digits + "/@:#?&%", min_size=6),
    scheme=st.sampled_from(["rtsp", "rtsps", "http", "https"]),
)
def test_no_password_in_an_address_is_left_whatever_it_is_made_of(secret: str, scheme: str) -> None:
    assert f"SECRET{secret}" not in redacted(f"stream {scheme}://user:SECRET{secret}@host/x stopped")
