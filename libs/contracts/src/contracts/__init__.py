"""What Tessera's services, and those around them, say to each other."""
