"""What runs inside the box: the standard library and numpy only, and of ours nothing but these modules and two of base.

The folder is bound into the box as it is, under its own name. Start at `zygote`, then `worker`, then `fences`.
"""
