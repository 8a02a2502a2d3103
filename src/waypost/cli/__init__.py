"""The command line: one module a command group, each an HTTP client of the running service."""
