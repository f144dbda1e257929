"""What customers, segments, orders and custom events may become; pure."""
