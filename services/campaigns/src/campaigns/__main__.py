"""``python -m campaigns``: run the service."""

from campaigns.app import build
from runtime.service import run
from runtime.settings import Settings

if __name__ == "__main__":
    run(build(Settings()))
