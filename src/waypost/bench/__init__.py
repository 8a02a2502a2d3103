"""How fast Waypost is and how much memory it takes, measured on the real service by `waypost bench`.

Each benchmark starts the service as an operator does, on SQLite, with a receiver and the callers in processes of their
own, over loopback. Nothing is left out: requests are authenticated, documents validated, commits wait for the disk,
requests are signed, attempts are stored. `growth` alone works inside this process, on the log itself.
"""
