"""What a service does beside accepting and delivering: it removes what is old, warns, and feeds replays."""
