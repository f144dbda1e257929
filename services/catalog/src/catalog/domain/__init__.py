"""What products and SKUs may become; pure."""
