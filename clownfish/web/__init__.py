"""The live page: an HTTP server for it and what it shows (layer 1; the extra `web`)."""
