"""The HTTP API: one module a resource, every failure a problem document, everything described by one table."""
