"""``python -m webhooks``: run the service."""

from runtime.service import run
from webhooks.app import build
from webhooks.settings import Settings

if __name__ == "__main__":
    run(build(Settings()))
