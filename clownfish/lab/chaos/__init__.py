"""Chaos: many edges and a cloud whose processes are killed at random, and a ledger of every window meanwhile."""
