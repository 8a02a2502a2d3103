"""Events: their types, their bytes, their schemas, and which endpoint wants which. Pure."""
