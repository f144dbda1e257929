"""The pure part: endpoints, deliveries, and what events mean to the outside."""
