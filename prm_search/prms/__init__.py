"""Process reward models: how each family reads steps and says how good they are."""
