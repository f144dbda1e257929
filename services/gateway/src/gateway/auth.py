"""Who calls: server, client-side and management keys, and how often they may."""

import hmac
import time
from dataclasses import dataclass
from typing import Any, NamedTuple

from contracts.errors import DomainError, ErrorBody
from gateway import queries
from runtime import secrets
from runtime.database import Pool
from runtime.settings import Settings


class Unauthorized(DomainError):
    """The keys are missing, wrong, or of another kind."""

    status = 401
    key = "unauthorized"
    message = "Unauthorized"


class TooManyRequests(DomainError):
    """The project's rate is exceeded."""

    retry_after_s = 1

    def body(self) -> ErrorBody:
        """Return the answer that the client gets."""
        message = "Too many requests hit the API too quickly."
        return ErrorBody(code=429, key="too_many_requests", message=message)


class Credentials(NamedTuple):
    """The headers by which a caller says who it is."""

    server: tuple[str, str] | None
    client: tuple[str, str] | None
    management: tuple[str, str] | None
    origin: str

    @classmethod
    def of(cls, headers: dict[str, str]) -> "Credentials":
        """Read the headers."""

        def pair(name: str, token: str) -> tuple[str, str] | None:
            return (headers[name], headers[token]) if name in headers and token in headers else None

        return cls(
            pair("x-app-id", "x-app-token"),
            pair("x-client-application-id", "x-client-token"),
            pair("x-management-id", "x-management-token"),
            headers.get("origin", ""),
        )


@dataclass(frozen=True)
class ApiKey:
    """A key that was proved; ``project_id`` is empty for management keys."""

    app_id: str
    key_id: str
    kind: str
    project_id: str
    token_hash: str
    origins: tuple[str, ...]
    rate_per_minute: int | None


class Keys:
    """Proves credentials. Keys are read once in a while, not on every request."""

    def __init__(self, settings: Settings, cache_s: float) -> None:
        self.pool: Pool | None = None
        self._settings = settings
        self._cache_s = cache_s
        self._known: dict[str, tuple[float, ApiKey]] = {}

    async def authenticate(self, kind: str, credentials: Credentials) -> ApiKey:
        """Return the key; raises ``Unauthorized``."""
        given = getattr(credentials, kind)
        if given is None:
            raise Unauthorized(f"This operation needs {HEADERS[kind]}")
        app_id, token = given
        key = await self._find(app_id)
        proof = secrets.keyed_hash(self._settings, token)
        if key is None or not hmac.compare_digest(key.token_hash, proof) or key.kind != kind:
            raise Unauthorized("The keys are unknown, revoked, or of another kind")
        if kind == "client" and not _is_allowed(credentials.origin, key.origins):
            raise Unauthorized("The origin is not on the key's list")
        return key

    async def _find(self, app_id: str) -> ApiKey | None:
        known = self._known.get(app_id)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        if "\x00" in app_id:
            return None
        assert self.pool is not None, "the gateway has started"
        async with self.pool.acquire() as connection:
            row = await queries.find_key(connection, app_id)
        if row is None:
            self._known.pop(app_id, None)
            return None
        key = _key(row)
        self._known[app_id] = (time.monotonic() + self._cache_s, key)
        return key


def _key(row: Any) -> ApiKey:
    return ApiKey(
        row["app_id"],
        row["key_id"],
        row["kind"],
        row["project_id"],
        row["token_hash"],
        tuple(row["origins"]),
        row["rate_per_minute"],
    )


def _is_allowed(origin: str, origins: tuple[str, ...]) -> bool:
    return "*" in origins or (bool(origin) and origin in origins)


HEADERS = {
    "server": "X-App-Id and X-App-Token",
    "client": "X-Client-Application-Id, X-Client-Token and Origin",
    "management": "X-Management-Id and X-Management-Token",
}


class Rates:
    """A bucket of requests per project, refilled evenly; each gateway counts for itself."""

    def __init__(self, rate_per_minute: int) -> None:
        self._default = rate_per_minute
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, key: ApiKey, extra: list[tuple[bytes, bytes]]) -> None:
        """Take one request from the bucket; raises ``TooManyRequests``. Adds the rate's headers."""
        rate = key.rate_per_minute or self._default
        now = time.monotonic()
        left, at = self._buckets.get(key.project_id or key.key_id, (float(rate), now))
        left = min(float(rate), left + (now - at) * rate / 60)
        is_over = left < 1
        self._buckets[key.project_id or key.key_id] = (left if is_over else left - 1, now)
        extra.append((b"x-rate-limit-limit", str(rate).encode()))
        extra.append((b"x-rate-limit-remaining", str(max(int(left) - 1, 0)).encode()))
        if is_over:
            extra.append((b"x-rate-limit-type", b"api_calls"))
            raise TooManyRequests
