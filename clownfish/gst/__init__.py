"""What runs in GStreamer, with its own libraries and the standard library alone. Layer 1."""
