"""Keys: what is stored of secrets, and how.

An API key is stored as a keyed hash only. A secret that must be read again (a webhook's) is stored as
ciphertext: AES-256-GCM by the cipher of the ``eventsourcing`` library.
"""

import base64
import hashlib
import hmac
import os

from eventsourcing.cryptography import AESCipher
from eventsourcing.utils import Environment

from runtime.settings import Settings


def keyed_hash(settings: Settings, secret: str) -> str:
    """Return the HMAC-SHA256 of ``secret`` under the pepper, in hex: what the database keeps."""
    pepper = settings.tessera_pepper.get_secret_value().encode()
    return hmac.new(pepper, secret.encode(), hashlib.sha256).hexdigest()


def encrypt(settings: Settings, text: str) -> str:
    """Return ``text`` as base64 ciphertext (a fresh nonce each time)."""
    return base64.b64encode(_cipher(settings).encrypt(text.encode())).decode()


def decrypt(settings: Settings, ciphertext: str) -> str:
    """Return the text of :func:`encrypt`; raises ``ValueError`` if it was altered."""
    plain: bytes = _cipher(settings).decrypt(base64.b64decode(ciphertext))
    return plain.decode()


def role_password(settings: Settings, role: str) -> str:
    """Return the password of a service's database role."""
    key = settings.tessera_role_password.get_secret_value().encode()
    return hmac.new(key, role.encode(), hashlib.sha256).hexdigest()


def scram_verifier(password: str) -> str:
    """Return what Postgres keeps of an ASCII password (RFC 5802), which it takes in the password's place."""
    salt, rounds = os.urandom(16), 4096
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, rounds)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    told = [base64.b64encode(part).decode() for part in (salt, stored, server)]
    return f"SCRAM-SHA-256${rounds}:{told[0]}${told[1]}:{told[2]}"


def _cipher(settings: Settings) -> AESCipher:
    key = settings.tessera_secret_key.get_secret_value()
    return AESCipher(Environment("tessera", {"CIPHER_KEY": key}))
