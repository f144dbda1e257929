"""``python -m catalog``: run the service."""

from runtime.service import run
from runtime.settings import Settings

from catalog.app import build

if __name__ == "__main__":
    run(build(Settings()))
