"""``python -m customers``: run the service."""

from customers.app import build
from runtime.service import run
from runtime.settings import Settings

if __name__ == "__main__":
    # See docs/adr/0015-checkout-first.md.
    run(build(Settings()), is_behind_checkout=True)
