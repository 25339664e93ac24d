"""Measurements of the system on the machine at hand, each beside its yardstick in the same run. Offline work."""
