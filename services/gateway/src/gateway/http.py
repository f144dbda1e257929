"""The framework under all operations: routing, bodies, errors, headers, idempotency, own writes.

An operation is a function in ``operations/`` with the decorator :func:`operation`; nothing else has to
be told of it. It gets a :class:`Call` and returns the body, or an :class:`Answer`.
"""

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, unquote

import orjson
import structlog

from contracts import topics
from contracts.errors import (
    DomainError,
    ErrorBody,
    IdempotencyKeyReused,
    InvalidPayload,
    JsonObject,
    NotFound,
    Unavailable,
)
from contracts.messages import (
    Command,
    Message,
    Position,
    Reply,
    Request,
    format_positions,
    parse_positions,
)
from gateway import limits
from gateway.auth import ApiKey, Credentials
from runtime import clock, ids

if TYPE_CHECKING:
    from gateway.app import Gateway

logger = structlog.get_logger()
Scope = dict[str, Any]
SERVER = "server"
CLIENT = "client"
MANAGEMENT = "management"
POSITIONS_HEADER = "x-tessera-positions"


class Answer(NamedTuple):
    """A status other than 200, or no body."""

    status: int
    body: Any = None


class ApiError(Exception):
    """An error as a service answered it."""

    def __init__(self, error: ErrorBody, retry_after_s: int | None = None) -> None:
        super().__init__(error.message)
        self.error = error
        self.retry_after_s = retry_after_s


class HttpError(DomainError):
    """An error of the protocol, before any operation."""

    def __init__(self, status: int, key: str, message: str, details: str | None = None) -> None:
        super().__init__(details)
        self._told = ErrorBody(code=status, key=key, message=message, details=details)

    def body(self) -> ErrorBody:
        """Return the answer that the client gets."""
        return self._told


Handler = Callable[["Call"], Awaitable[Any]]


@dataclass(frozen=True)
class Operation:
    """One operation of the API, as it is routed and documented."""

    method: str
    path: str
    handler: Handler
    auth: str
    fields: tuple[str, ...]
    summary: str
    is_list_body: bool = False


OPERATIONS: list[Operation] = []


def operation(
    method: str, path: str, *, auth: str = SERVER, fields: Sequence[str] = (), summary: str = ""
) -> Callable[[Handler], Handler]:
    """Register an operation; ``fields`` are the properties of its body, others are ignored."""

    def register(handler: Handler) -> Handler:
        told = summary or (handler.__doc__ or "").strip().splitlines()[0]
        OPERATIONS.append(Operation(method, path, handler, auth, tuple(fields), told))
        return handler

    return register


@dataclass
class Call:
    """One request on its way through an operation."""

    gateway: "Gateway"
    operation: Operation
    request_id: str
    key: ApiKey
    params: dict[str, str]
    query: list[tuple[str, str]]
    body: JsonObject
    idempotency_key: str
    fingerprint: str
    has_client_key: bool
    after: tuple[Position, ...] = ()
    positions: list[Position] = field(default_factory=list)
    is_replayed: bool = False
    _commands: int = 0

    @property
    def project_id(self) -> str:
        """The project of the key; for management keys that of the path."""
        return self.params.get("projectId") or self.key.project_id

    def new_id(self, prefix: str) -> str:
        """Return a fresh id."""
        return ids.new_id(prefix)

    async def command(
        self, service: str, key: str, command: Command, *, remember: Sequence[str] = ()
    ) -> JsonObject:
        """Send a command; returns the reply's body, raises its error.

        ``remember`` names what the command wrote (``voucher/…``): reads of it wait for the write.
        """
        reply = await self._ask(topics.commands(service), key, command)
        self.gateway.writes.remember(self.project_id, service, reply.positions, remember)
        return reply.body or {}

    async def request(self, key: str, request: Request, *, scopes: Sequence[str] = ()) -> Reply:
        """Ask the engine, which first waits for the writes of the ``scopes``."""
        after = (*self.after, *self.gateway.writes.of(self.project_id, scopes))
        known = tuple(p for p in after if p.service in ENGINE_READS)
        return await self._ask(topics.ENGINE_REQUESTS, key, request, known)

    async def _ask(
        self, topic: str, key: str, message: Message, after: tuple[Position, ...] = ()
    ) -> Reply:
        self._commands += 1
        suffix = f"/{self._commands}" if self._commands > 1 else ""
        reply = await self.gateway.service.rpc.call(
            topic,
            f"{self.project_id}/{key}",
            message,
            project_id=self.project_id,
            idempotency_key=self.idempotency_key + suffix,
            fingerprint=self.fingerprint,
            correlation_id=self.request_id,
            after=after,
        )
        self.positions.extend(reply.positions)
        self.is_replayed = self.is_replayed or reply.replayed
        if reply.error is not None:
            raise ApiError(reply.error, reply.retry_after_s)
        return reply

    async def fresh(self, *scopes: str) -> None:
        """Wait until the read models show this project's definitions, and the writes of the scopes.

        The scope ``*`` stands for everything that was written in the project.
        """
        wanted = [*self.after, *self.positions, *self.gateway.writes.of(self.project_id, scopes)]
        wait_s = self.gateway.service.settings.projection_wait_s
        await self.gateway.service.positions.wait(wanted, wait_s)

    def require(self, *names: str) -> None:
        """Raise ``InvalidPayload`` for the first property that is missing."""
        for name in names:
            if self.body.get(name) is None:
                raise InvalidPayload(f"{name}: is required", prop=name)


ENGINE_READS = {"gateway", "campaigns", "catalog", "customers", "ledger"}


class Router:
    """Finds the operation of a path, and says which methods a path has."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self._fixed: dict[str, dict[str, Operation]] = {}
        self._patterns: dict[str, tuple[re.Pattern[str], dict[str, Operation]]] = {}
        for one in operations:
            if "{" not in one.path:
                self._fixed.setdefault(one.path, {})[one.method] = one
                continue
            known = self._patterns.setdefault(one.path, (_pattern(one.path), {}))
            known[1][one.method] = one

    def find(self, method: str, path: str) -> tuple[Operation, dict[str, str]]:
        """Return the operation and its path parameters; raises ``HttpError``."""
        methods = self._fixed.get(path)
        params: dict[str, str] = {}
        if methods is None:
            for pattern, known in self._patterns.values():
                match = pattern.fullmatch(path)
                if match is not None:
                    methods = known
                    params = {name: unquote(value) for name, value in match.groupdict().items()}
                    break
        if methods is None:
            raise HttpError(404, "not_found", "Resource not found", f"There is no {path}")
        found = methods.get(method)
        if found is None:
            allowed = ", ".join(sorted(methods))
            raise HttpError(405, "method_not_allowed", "Method not allowed", f"Allowed: {allowed}")
        if any("\x00" in value for value in params.values()):
            raise HttpError(404, "not_found", "Resource not found", "The path has a NUL in it")
        return found, params


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path))


class Api:
    """The ASGI application."""

    def __init__(self, gateway: "Gateway") -> None:
        self._gateway = gateway
        self._router = Router(OPERATIONS)

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        request_id = ids.new_id("v")
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        extra: list[tuple[bytes, bytes]] = [(b"x-request-id", request_id.encode())]
        try:
            answer = await self._answer(scope, headers, receive, request_id, extra)
        except (DomainError, ApiError, Unavailable) as error:
            answer = _error_answer(error, request_id, extra)
        except asyncio.CancelledError:
            raise
        except Exception:
            logger.exception("request_failed", request_id=request_id, path=scope["path"])
            told = ErrorBody(code=500, key="internal_error", message="Internal error")
            answer = Answer(500, _error_json(told, request_id))
        await _send(send, answer, extra)

    async def _answer(
        self,
        scope: Scope,
        headers: dict[str, str],
        receive: Any,
        request_id: str,
        extra: list[tuple[bytes, bytes]],
    ) -> Answer:
        raw_path = scope.get("raw_path", scope["path"].encode()).decode("latin-1").partition("?")[0]
        page = self._gateway.pages.get(raw_path) if scope["method"] == "GET" else None
        if page is not None:
            return page(scope)
        found, params = self._router.find(scope["method"], raw_path)
        key = await self._gateway.keys.authenticate(found.auth, Credentials.of(headers))
        self._gateway.rates.take(key, extra)
        body, raw_body = await _read_body(found, headers, receive)
        given = headers.get("idempotency-key", "")
        call = Call(
            gateway=self._gateway,
            operation=found,
            request_id=request_id,
            key=key,
            params=params,
            query=_query(scope),
            body=body,
            idempotency_key=given or request_id,
            fingerprint=_fingerprint(scope["method"], raw_path, raw_body),
            has_client_key=bool(given),
            after=_after(headers),
        )
        if given and scope["method"] != "GET":
            await self._claim(call, given)
        result = await found.handler(call)
        if call.positions:
            told = format_positions(call.positions[-limits.HEADER_POSITIONS_MAX :])
            extra.append((POSITIONS_HEADER.encode(), told.encode()))
        if call.is_replayed:
            extra.append((b"idempotency-replayed", b"true"))
        logger.info(
            "answered",
            correlation_id=request_id,
            project=call.project_id,
            operation=f"{found.method} {found.path}",
        )
        return result if isinstance(result, Answer) else Answer(200, result)

    async def _claim(self, call: Call, given: str) -> None:
        """Refuse a key that was used by another request; services replay the same one."""
        if len(given) > limits.IDEMPOTENCY_KEY_LENGTH_MAX or not given.isprintable():
            raise HttpError(400, "invalid_idempotency_key", "Invalid Idempotency-Key")
        known = await self._gateway.idempotency.claim(
            call.key.project_id or call.key.key_id, given, call.fingerprint
        )
        if known != call.fingerprint:
            raise IdempotencyKeyReused


def _query(scope: Scope) -> list[tuple[str, str]]:
    text = scope["query_string"].decode("latin-1")
    try:
        return parse_qsl(text, keep_blank_values=True, max_num_fields=200)
    except ValueError as error:
        raise HttpError(400, "invalid_query_params", "Invalid query params", str(error)) from None


def _after(headers: dict[str, str]) -> tuple[Position, ...]:
    text = headers.get(POSITIONS_HEADER, "")
    if not text:
        return ()
    try:
        return parse_positions(text)[: limits.HEADER_POSITIONS_MAX]
    except ValueError as error:
        message = "Invalid header X-Tessera-Positions"
        raise HttpError(400, "invalid_header", message, str(error)) from None


async def _read_body(
    found: Operation, headers: dict[str, str], receive: Any
) -> tuple[JsonObject, bytes]:
    raw = await _receive(headers, receive)
    if found.method in {"GET", "DELETE"}:
        return {}, b""
    if not raw.strip():
        return {}, b""
    media_type = headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if media_type not in {"application/json", ""} and not media_type.endswith("+json"):
        raise HttpError(
            415, "unsupported_media_type", "Unsupported media type", "Send application/json"
        )
    body = parse_json(raw)
    if not isinstance(body, dict):
        raise InvalidPayload("The body must be a JSON object")
    return {name: value for name, value in body.items() if name in found.fields}, raw


async def _receive(headers: dict[str, str], receive: Any) -> bytes:
    length = headers.get("content-length", "0")
    too_large = HttpError(
        413, "payload_too_large", "Payload too large", f"At most {limits.BODY_BYTES_MAX} bytes"
    )
    if length.isdigit() and int(length) > limits.BODY_BYTES_MAX:
        raise too_large
    raw: bytes = b""
    while True:
        part = await receive()
        raw += part.get("body", b"")
        if len(raw) > limits.BODY_BYTES_MAX:
            raise too_large
        if not part.get("more_body"):
            return raw


def parse_json(raw: bytes) -> Any:
    """Return the body; refuses what is no JSON, nested too deeply, or not storable."""
    if _depth(raw) > limits.BODY_DEPTH_MAX:
        raise InvalidPayload(f"The body is nested more than {limits.BODY_DEPTH_MAX} levels deep")
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InvalidPayload(f"The body is not JSON: {error}") from None
    if b"\\u0000" in raw:
        raise InvalidPayload("Text must not contain the character NUL")
    return body


def _depth(raw: bytes) -> int:
    """Return how deeply brackets nest, those within strings left out; not recursive."""
    if raw.count(b"{") + raw.count(b"[") <= limits.BODY_DEPTH_MAX:
        return 0
    depth = deepest = 0
    for mark in re.findall(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', raw):
        if mark in b"{[":
            depth += 1
            deepest = max(deepest, depth)
        elif mark in b"}]":
            depth -= 1
    return deepest


def _fingerprint(method: str, path: str, raw_body: bytes) -> str:
    """Return what makes two requests the same one: operation, address and body."""
    if raw_body:
        raw_body = orjson.dumps(orjson.loads(raw_body), option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(f"{method} {path}\n".encode() + raw_body).hexdigest()


def _error_answer(
    error: DomainError | ApiError | Unavailable, request_id: str, extra: list[tuple[bytes, bytes]]
) -> Answer:
    if isinstance(error, Unavailable):
        extra.append((b"retry-after", str(error.retry_after_s).encode()))
        told = ErrorBody(
            code=503,
            key="service_unavailable",
            message="Service temporarily unavailable",
            details=str(error),
        )
    elif isinstance(error, ApiError):
        told = error.error
        if error.retry_after_s is not None:
            extra.append((b"retry-after", str(error.retry_after_s).encode()))
    else:
        told = error.body()
        retry_after_s = getattr(error, "retry_after_s", None)
        if retry_after_s is not None:
            extra.append((b"retry-after", str(retry_after_s).encode()))
    logger.info(
        "refused", correlation_id=request_id, status=told.code, key=told.key, details=told.details
    )
    return Answer(told.code, _error_json(told, request_id))


def _error_json(error: ErrorBody, request_id: str) -> JsonObject:
    return {**error.model_dump(exclude_none=True), "request_id": request_id}


async def _send(send: Any, answer: Answer, extra: list[tuple[bytes, bytes]]) -> None:
    if isinstance(answer.body, Raw):
        content, media_type = answer.body
    elif answer.status == 204:  # noqa: PLR2004 - no content
        content, media_type = b"", ""
    else:
        content, media_type = orjson.dumps(answer.body), "application/json; charset=utf-8"
    headers = [*extra, (b"content-length", str(len(content)).encode())]
    if media_type:
        headers.append((b"content-type", media_type.encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


class Raw(NamedTuple):
    """A body that is no JSON: a page or a file of one."""

    content: bytes
    media_type: str


def not_found(resource_type: str, resource_id: str) -> NotFound:
    """Return the 404 of the public API."""
    return NotFound.of(resource_type, resource_id)


now = clock.now
