"""The clock: budgets for a month, TLS, and the names of files go by it; windows themselves do not."""

from __future__ import annotations

import ctypes
import datetime
import errno

from clownfish.checkup.finding import Finding, fault, ok, warning

NOT_BEFORE = datetime.datetime(2026, 11, 1, tzinfo=datetime.timezone.utc)
"""No machine that has this release is older; raised with releases."""
_NOT_AFTER = NOT_BEFORE + datetime.timedelta(days=365 * 20)
_TIMEDATECTL = "`timedatectl set-ntp true`, or install chrony"
_UNSYNCHRONISED = 0x0040


class _Timex(ctypes.Structure):
    """The beginning of Linux's `struct timex`, with room for the rest."""

    _fields_ = [
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 256),
    ]


def is_synchronised() -> bool | None:
    """What the kernel was told by chrony, timesyncd or ntpd, which need not be asked; None where it cannot be known."""
    try:
        adjtimex = ctypes.CDLL(None, use_errno=True).adjtimex
    except (OSError, AttributeError):
        return None
    timex = _Timex()  # modes 0: nothing is changed
    if adjtimex(ctypes.byref(timex)) < 0:
        return False if ctypes.get_errno() == errno.ETIME else None
    return not timex.status & _UNSYNCHRONISED


def clock(now: datetime.datetime, synchronised: bool | None) -> list[Finding]:
    """`now` with its zone; `synchronised`: whether anything keeps it right, None where that is not known."""
    day = f"{now.astimezone(datetime.timezone.utc):%Y-%m-%d %H:%M} UTC"
    if not NOT_BEFORE <= now <= _NOT_AFTER:
        said = (
            f"it says {day}; this release is of {NOT_BEFORE:%Y-%m}, so that is wrong: TLS and budgets of a month fail"
        )
        return [fault("clock", said, f"set it: {_TIMEDATECTL}; a box without a battery needs the network for that")]
    if synchronised is False:
        return [warning("clock", f"{day}, and nothing keeps it right (no NTP)", _TIMEDATECTL)]
    return [ok("clock", day + (", kept by NTP" if synchronised else ""))]
