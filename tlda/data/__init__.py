"""Data: the pairing of domains, and one module a family."""
