"""TUN devices: an interface whose packets a process reads and writes."""

from __future__ import annotations

import fcntl
import os
import struct

from clownfish.errors import ClownfishError

_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_DEVICE = "/dev/net/tun"


def open_tun(name: str) -> int:
    """A non-blocking descriptor of the new device `name`, in this thread's namespace *as it is now*: the one in which
    /dev/net/tun is opened owns the device. It goes when the descriptor does. Raises ClownfishError."""
    try:
        fd = os.open(_DEVICE, os.O_RDWR | os.O_NONBLOCK)
    except OSError as error:
        raise ClownfishError(
            f"{_DEVICE}: {error.strerror}; the network lab's own link needs it: modprobe tun (in a container: "
            f"--device {_DEVICE})"
        ) from error
    try:
        fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI))
    except OSError as error:
        os.close(fd)
        raise ClownfishError(f"cannot make the TUN device {name}: {error.strerror}; run as root") from error
    return fd
