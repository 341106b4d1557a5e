"""What runs inside the box: the standard library and numpy only; of ours nothing but these modules and four of base.

The folder is bound into the box as it is, under its own name. Start at `zygote`, then `worker`, then `fences`.
"""
