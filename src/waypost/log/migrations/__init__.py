"""The schema's history: forward only, each step safe while the version before it still runs."""
