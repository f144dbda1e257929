"""``python -m distribution``: run the service."""

from distribution.app import build
from distribution.settings import Settings
from runtime.service import run

if __name__ == "__main__":
    # See docs/adr/0015-checkout-first.md.
    run(build(Settings()), is_behind_checkout=True)
