"""Pixels: open, decode, warp, mosaic. It knows no catalogue and no chain. Start at `reader`, then `mosaic`."""
