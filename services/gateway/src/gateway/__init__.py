"""The HTTP edge: the public API, its read models, projects and keys."""
