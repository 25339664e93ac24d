"""`python -m clownfish` is the command `clownfish`."""

from clownfish.cli.app import main

main()
