"""Customers, their segments, orders and custom events; and what upstream systems send of them."""
