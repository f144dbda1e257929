"""``python -m campaigns``: run the service."""

from campaigns.app import build
from campaigns.settings import Settings
from runtime.service import run

if __name__ == "__main__":
    # See docs/adr/0015-checkout-first.md.
    run(build(Settings()), is_behind_checkout=True)
