"""The pure part: publications, distributions, messages."""
