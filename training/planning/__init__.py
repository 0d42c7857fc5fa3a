"""What a run will take before it begins: operations, memory, recipe, plan, and its own forecast."""
