"""What every room may know: errors, grids, cubes, canonical JSON, colours, times. It imports nothing of ours."""
