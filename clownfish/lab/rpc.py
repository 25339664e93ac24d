"""The yardstick that the paper's prototype sets: a window, PNG-encoded, through a blocking gRPC call (§V).

`python -m clownfish.lab.rpc MODEL` serves in a process of its own: it prints its port, and ends when its standard input
does. A request is each frame's size and the frames' PNG files; an answer is the model's own time, then p.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from clownfish.codecs.png import Png
from clownfish.errors import ClownfishError
from clownfish.messages import Pixels

SERVICE, METHOD = "clownfish.Bench", "Infer"
_UNLIMITED = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
_HEADER = "!HHH"
"""Frames, height, width; then each frame's bytes as !I."""


def require_grpc() -> Any:
    """The module grpc, which only this bench needs. Raises ClownfishError where it is missing."""
    try:
        import grpc
    except ImportError as error:
        raise ClownfishError(
            f"grpcio, the yardstick of the bench, is missing ({error}): pip install 'clownfish[bench]'"
        ) from error
    return grpc


def pack(window: Sequence[Pixels]) -> bytes:
    """A request."""
    codec = Png()
    blobs = [codec.encode(pixels) for pixels in window]
    height, width = window[0].shape[:2]
    sizes = struct.pack(f"!{len(blobs)}I", *map(len, blobs))
    return b"".join([struct.pack(_HEADER, len(blobs), height, width), sizes, *blobs])


def unpack(request: bytes) -> list[Pixels]:
    """The frames of a request."""
    codec = Png()
    count, height, width = struct.unpack_from(_HEADER, request)
    at = struct.calcsize(_HEADER)
    sizes = struct.unpack_from(f"!{count}I", request, at)
    at += 4 * count
    frames = []
    for size in sizes:
        frames.append(codec.decode(request[at : at + size], width, height))
        at += size
    return frames


class Client:
    """A blocking client of one server."""

    def __init__(self, port: int) -> None:
        grpc = require_grpc()
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=_UNLIMITED)
        self._infer = self._channel.unary_unary(f"/{SERVICE}/{METHOD}")

    def answer(self, window: Sequence[Pixels]) -> int:
        """Encode, send, wait for the answer; returns the model's share of that time in ns."""
        return self.ask(pack(window))

    def ask(self, request: bytes) -> int:
        """Send what `pack` gave, wait for the answer; returns the model's share of that time in ns."""
        reply: bytes = self._infer(request, timeout=60, wait_for_ready=True)
        return int(struct.unpack_from("!q", reply)[0])

    def close(self) -> None:
        self._channel.close()


@contextlib.contextmanager
def served(model: str) -> Iterator[Client]:
    """A server process with that model, and a client connected to it. Raises ClownfishError where it does not start."""
    require_grpc()
    command = [sys.executable, "-m", "clownfish.lab.rpc", model]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None  # both are pipes
        assert process.stdout is not None
        try:
            port = process.stdout.readline().strip()
            if not port.isdigit():
                raise ClownfishError(f"{' '.join(command)} printed {port!r}; expected its port: see what it said above")
            with contextlib.closing(Client(int(port))) as client:
                yield client
        finally:
            process.stdin.close()  # the server takes it for the end
            process.wait(10)


def serve(model_name: str) -> None:
    """The server process."""
    grpc = require_grpc()
    from clownfish.models.load import load_model

    model = load_model(model_name)

    def infer(request: bytes, context: Any) -> bytes:
        frames = unpack(request)
        begin = time.monotonic_ns()
        p = model.infer([frames]).p[0]
        reply: bytes = struct.pack("!q", time.monotonic_ns() - begin) + p.astype(np.float32).tobytes()
        return reply

    server = grpc.server(concurrent.futures.ThreadPoolExecutor(1), options=_UNLIMITED)
    handlers = {METHOD: grpc.unary_unary_rpc_method_handler(infer)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    sys.stdin.read()
    server.stop(0.5).wait()


if __name__ == "__main__":
    serve(sys.argv[1])
