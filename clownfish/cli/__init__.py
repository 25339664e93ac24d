"""The command `clownfish` (layer 4): `app` holds the commands, `onerun` and `summary` what `run` does and says."""
