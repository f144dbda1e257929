"""How messages are carried: the log, consumers, read models, request and reply. Knows no service."""
