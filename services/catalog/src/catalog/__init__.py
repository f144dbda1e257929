"""The catalog: products and their SKUs."""
