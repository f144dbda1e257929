"""The ledger's decisions: data in, data out."""
