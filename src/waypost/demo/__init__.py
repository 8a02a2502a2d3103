"""The story that `waypost demo` plays: a carrier, the service, and a shop that listens."""
