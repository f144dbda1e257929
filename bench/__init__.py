"""What we publish about speed, and how to repeat it: ``make bench``."""
