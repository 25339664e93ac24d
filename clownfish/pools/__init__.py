"""Pools: where the workers of a `[pool]` run. One file each, with a class like `base.Pool` (layer 2)."""
