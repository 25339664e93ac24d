"""What `clownfish doctor` looks at: one file a check, each a small function from settings to findings (offline).

A check says what it found in plain words and, where something is wrong, what to do. None changes anything but for
small files that it makes and removes where the graph will write, and none may hang: see `everything`.
"""
