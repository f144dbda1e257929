"""``python -m gateway``."""

from gateway.app import build
from gateway.settings import Settings
from runtime.service import run

if __name__ == "__main__":
    run(build(Settings()))
