"""A camera as far as its network sees it: GStreamer's RTSP server with a drawn picture.

    /usr/bin/python3 rtsp_server.py PORT        then on its input, line by line: WIDTH HEIGHT FPS

Started by its path, by the Python that has `gi` (apt: gir1.2-gst-rtsp-server-1.0, python3-gi). It says `listening` when
it is, and ends with its input.
"""

from __future__ import annotations

import sys
import threading

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

_CAMERA = (
    "( videotestsrc is-live=true pattern=ball ! capsfilter name=shape caps={caps} ! "
    "x264enc tune=zerolatency speed-preset=ultrafast threads=1 key-int-max=30 ! "
    "rtph264pay name=pay0 config-interval=-1 pt=96 )"
)


def caps(width: int, height: int, fps: int) -> str:
    return f"video/x-raw,format=I420,width={width},height={height},framerate={fps}/1"


def main(port: str) -> None:
    Gst.init(None)
    loop = GLib.MainLoop()
    shapes = []
    server, factory = GstRtspServer.RTSPServer(), GstRtspServer.RTSPMediaFactory()
    server.set_address("127.0.0.1")
    server.set_service(port)
    factory.set_shared(True)
    factory.set_launch(_CAMERA.format(caps=caps(854, 480, 30)))
    factory.connect("media-configure", lambda _, media: shapes.append(media.get_element().get_by_name("shape")))
    server.get_mount_points().add_factory("/camera", factory)
    if not server.attach(None):
        sys.exit(f"port {port} is taken")

    def listen() -> None:
        for line in sys.stdin:
            asked = Gst.Caps.from_string(caps(*map(int, line.split())))
            for shape in shapes[-1:]:
                shape.set_property("caps", asked)
        GLib.idle_add(loop.quit)

    threading.Thread(target=listen, daemon=True).start()
    print("listening", flush=True)
    loop.run()


if __name__ == "__main__":
    main(sys.argv[1])
