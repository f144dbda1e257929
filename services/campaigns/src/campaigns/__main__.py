"""``python -m campaigns``: run the service."""

from campaigns.app import build
from campaigns.settings import Settings
from runtime.service import run

if __name__ == "__main__":
    run(build(Settings()))
