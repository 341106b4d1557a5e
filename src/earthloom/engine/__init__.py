"""The one evaluator: graph to plan, plan on grid to values, values to colours, colours to bytes. Start at `plan`."""
