"""``python -m ledger``."""

from ledger.app import build
from ledger.settings import Settings
from runtime.service import run

if __name__ == "__main__":
    run(build(Settings()))
