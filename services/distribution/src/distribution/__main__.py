"""``python -m distribution``: run the service."""

from distribution.app import build
from distribution.settings import Settings
from runtime.service import run

if __name__ == "__main__":
    run(build(Settings()))
