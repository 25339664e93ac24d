"""What can be wrong from outside: configuration, bytes, video, weights.

Exceptions are for bugs, bad configuration and bad bytes. What is ordinary on a bad network (dropped, late, lost,
superseded) is a value that a machine returns, and a counter; never an exception.
Each message says what was read, what was expected, and what to do.
"""

from __future__ import annotations


class ClownfishError(Exception):
    """Base of every error that a user can mend; the command line prints it without a traceback."""


class ConfigError(ClownfishError):
    """A configuration file, key or value is wrong, or names an unknown plug-in."""


class WireError(ClownfishError):
    """A message on a socket is malformed, oversized or not ours. The peer's mistake: counted and dropped."""


class CodecError(ClownfishError):
    """Encoded pixels cannot be decoded, or do not have the size that was declared."""


class SourceError(ClownfishError):
    """A video source cannot be opened, or stopped delivering."""


class DatasetError(ClownfishError):
    """Labels or clips of a data set are missing, overlap or contradict each other."""


class ModelError(ClownfishError):
    """Weights, description or classes of a model do not fit."""


class SinkError(ClownfishError):
    """A sink cannot be opened or written to."""
