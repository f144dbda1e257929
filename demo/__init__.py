"""One shop day, played through Tessera's public interfaces: ``make demo``."""
