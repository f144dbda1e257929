"""``python -m webhooks``: run the service."""

from runtime.service import run
from webhooks.app import build
from webhooks.settings import Settings

if __name__ == "__main__":
    # See docs/adr/0015-checkout-first.md.
    run(build(Settings()), is_behind_checkout=True)
