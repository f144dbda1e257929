"""Who calls: server, client-side and management keys, and how often they may."""

import hmac
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import structlog

from contracts.errors import DomainError, ErrorBody
from contracts.gateway import CLIENT_SETTINGS
from gateway import limits, queries
from runtime import clock, secrets
from runtime.database import INFRASTRUCTURE_ERRORS, Pool
from runtime.settings import Settings

logger = structlog.get_logger()


class Unauthorized(DomainError):
    """The keys are missing, wrong, or of another kind."""

    status = 401
    key = "unauthorized"
    message = "Unauthorized"


class TooManyRequests(DomainError):
    """The project's rate is exceeded."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__()
        self.retry_after_s = retry_after_s

    def body(self) -> ErrorBody:
        """Return the answer that the client gets."""
        return ErrorBody(
            code=429,
            key="too_many_requests",
            message="Too many requests hit the API too quickly.",
            details=self.details,
        )


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
    settings: Mapping[str, Any]
    """Those of its project, as they were when the key was read."""

    @property
    def origins(self) -> Sequence[str]:
        """The pages from which a client-side key may be used; ``*`` stands for all."""
        return self.settings.get("client_trusted_domains") or ["*"]

    @property
    def rate_per_minute(self) -> int | None:
        """The project's own rate, if it has one."""
        return self.settings.get("rate_per_minute")

    def may(self, setting: str) -> bool:
        """Say whether the project lets its client-side key do this."""
        return bool(self.settings.get(setting, CLIENT_SETTINGS[setting]))


class Keys:
    """Proves credentials. Keys are read once in a while, not on every request.

    ``cache_s`` is how long a key that was revoked, or a setting of its project that was changed, by
    another process still holds. While Postgres is
    away, keys that are known go on working.
    """

    def __init__(self, settings: Settings, cache_s: float) -> None:
        self.pool: Pool | None = None
        self._settings = settings
        self._cache_s = cache_s
        self._known: OrderedDict[str, tuple[float, ApiKey | None]] = OrderedDict()

    async def authenticate(self, kind: str, credentials: Credentials) -> ApiKey:
        """Return the key; raises ``Unauthorized``."""
        given = getattr(credentials, kind)
        if given is None:
            raise Unauthorized(f"This operation needs {HEADERS[kind]}")
        return await self.prove(kind, *given, origin=credentials.origin)

    async def prove(self, kind: str, app_id: str, token: str, *, origin: str = "") -> ApiKey:
        """Return the key of this kind if the token is its own; raises ``Unauthorized``."""
        key = await self._find(app_id)
        proof = secrets.keyed_hash(self._settings, token)
        # An unknown key costs the same comparison as a wrong token.
        expected = key.token_hash if key is not None else "0" * len(proof)
        is_proved = hmac.compare_digest(expected, proof)
        if key is None or not is_proved or key.kind != kind:
            raise Unauthorized("The keys are unknown, revoked, or of another kind")
        if kind == "client" and not _is_allowed(origin, key.origins):
            raise Unauthorized("The origin is not on the key's list")
        return key

    def forget(self, app_id: str) -> None:
        """Read the key again when it is used next."""
        self._known.pop(app_id, None)

    def forget_project(self, project_id: str) -> None:
        """Read the project's keys again when they are used next."""
        for app_id, (_, key) in list(self._known.items()):
            if key is not None and key.project_id == project_id:
                self.forget(app_id)

    async def _find(self, app_id: str) -> ApiKey | None:
        known = self._known.get(app_id)
        now = time.monotonic()
        if known is not None and known[0] > now:
            return known[1]
        if "\x00" in app_id or len(app_id) > limits.APP_ID_LENGTH_MAX:
            return None
        assert self.pool is not None, "the gateway has started"
        try:
            async with self.pool.acquire() as connection:
                row = await queries.find_key(connection, app_id)
        except INFRASTRUCTURE_ERRORS as error:
            if known is None or known[1] is None:
                raise
            logger.warning("key_not_read_again", error=repr(error))
            key: ApiKey | None = known[1]
        else:
            key = None if row is None else _key(row)
        self._known[app_id] = (now + self._cache_s, key)
        self._known.move_to_end(app_id)
        while len(self._known) > limits.KEYS_REMEMBERED_MAX:
            self._known.popitem(last=False)
        return key


def _key(row: Any) -> ApiKey:
    return ApiKey(
        row["app_id"],
        row["key_id"],
        row["kind"],
        row["project_id"],
        row["token_hash"],
        row["settings"] or {},
    )


def _is_allowed(origin: str, origins: Sequence[str]) -> bool:
    return "*" in origins or (bool(origin) and origin in origins)


HEADERS = {
    "server": "X-App-Id and X-App-Token",
    "client": "X-Client-Application-Id, X-Client-Token and Origin",
    "management": "X-Management-Id and X-Management-Token",
}


class Rates:
    """A bucket of requests per project, refilled evenly; each gateway counts for itself."""

    def __init__(self, rate_per_minute: int, now: Callable[[], float] = time.monotonic) -> None:
        self._default = rate_per_minute
        self._now = now
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, key: ApiKey, headers: list[tuple[bytes, bytes]]) -> None:
        """Take one request from the bucket; raises ``TooManyRequests``. Adds the rate's headers."""
        owner = key.project_id or key.key_id
        rate = key.rate_per_minute or self._default
        now = self._now()
        left, at = self._buckets.get(owner, (float(rate), now))
        left = min(float(rate), left + (now - at) * rate / 60)
        is_over = left < 1
        left = left if is_over else left - 1
        self._buckets[owner] = (left, now)
        wait_s = math.ceil(max(0.0, (1 - left) * 60 / rate))
        retry_at = int(clock.now().timestamp()) + wait_s
        headers.append((b"x-rate-limit-limit", str(rate).encode()))
        headers.append((b"x-rate-limit-remaining", str(int(left)).encode()))
        headers.append((b"x-rate-limit-retry", str(retry_at).encode()))
        if is_over:
            headers.append((b"x-rate-limit-type", b"api_calls"))
            raise TooManyRequests(wait_s)
