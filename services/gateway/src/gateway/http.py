"""The framework under all operations: routing, bodies, errors, headers, idempotency, own writes.

An operation is a function in ``operations/`` with the decorator :func:`operation`; nothing else has to
be told of it. It gets a :class:`Call` and returns the body, or an :class:`Answer`.
"""

import asyncio
import hashlib
import math
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, unquote

import asyncpg
import orjson
import structlog
from prometheus_client import Gauge, Histogram
from pydantic import ValidationError

from contracts import topics
from contracts.errors import (
    DomainError,
    ErrorBody,
    InvalidPayload,
    InvalidQueryParams,
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
from gateway.body import NO_FIELDS, Fields, parse_json, read_elements
from gateway.body import read as read_fields
from gateway.forms import parse_form
from gateway.query import NO_QUERY, Listing, Query
from runtime import ids
from runtime.database import INFRASTRUCTURE_ERRORS, unavailable_by

if TYPE_CHECKING:
    from gateway.app import Gateway

logger = structlog.get_logger()
Scope = dict[str, Any]
SERVER = "server"
CLIENT = "client"
MANAGEMENT = "management"
AN_OBJECT = "object"
A_LIST = "list"
A_FORM = "form"
POSITIONS_HEADER = "x-tessera-positions"
Headers = list[tuple[bytes, bytes]]

SECONDS = Histogram(
    "tessera_http_seconds",
    "Time from a request to its answer",
    ["operation", "status"],
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
)
IN_FLIGHT = Gauge("tessera_http_in_flight", "Requests that wait for their answer")


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

    def __init__(
        self,
        status: int,
        key: str,
        message: str,
        details: str | None = None,
        headers: Iterable[tuple[bytes, bytes]] = (),
    ) -> None:
        super().__init__(details)
        self.headers = tuple(headers)
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
    fields: Fields
    summary: str
    setting: str
    """The project's setting that lets a client-side key ask this; empty where none does."""
    is_answer_kept: bool
    """Whether the gateway itself keeps the answer for requests that are repeated with their key."""
    query: Query | Listing = NO_QUERY
    statuses: tuple[int, ...] = (200,)
    """What it answers when all is well."""
    shown: JsonObject | None = None
    """Schema of the body of an operation of our own; those of the public API have theirs published."""
    takes: str = AN_OBJECT
    """What the body is: one object, a list of them with these ``fields``, or a form with a file."""

    @property
    def name(self) -> str:
        """Method and path, for logs and metrics."""
        return f"{self.method} {self.path}"

    @property
    def is_bulk(self) -> bool:
        """Whether its bodies may be large, and so are read by a few at a time."""
        return self.takes != AN_OBJECT


OPERATIONS: list[Operation] = []


def operation(
    method: str,
    path: str,
    *,
    auth: str = SERVER,
    fields: Fields = NO_FIELDS,
    setting: str = "",
    query: Query | Listing = NO_QUERY,
    statuses: tuple[int, ...] = (200,),
    shown: JsonObject | None = None,
    is_answer_kept: bool = True,
    takes: str = AN_OBJECT,
) -> Callable[[Handler], Handler]:
    """Register an operation; ``fields`` are the properties of its body, others are ignored.

    ``query`` is the table of its parameters: a ``Listing`` for a list, which ``paging.read_page`` reads.
    ``setting`` names the project's switch of a client-side operation: off, it answers 403.
    ``is_answer_kept`` False: the answer follows from one stored reply, or has a secret in it.
    """

    def register(handler: Handler) -> Handler:
        summary = (handler.__doc__ or "").strip().splitlines()[0]
        is_kept = is_answer_kept and method != "GET"
        OPERATIONS.append(
            Operation(
                method,
                path,
                handler,
                auth,
                fields,
                summary,
                setting,
                is_kept,
                query,
                statuses,
                shown,
                takes,
            )
        )
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
        try:
            reply = await self._ask(topics.commands(service), key, command)
        finally:
            self.remember(service, remember)
        return reply.body or {}

    async def request(self, key: str, request: Request, *, scopes: Sequence[str] = ()) -> Reply:
        """Ask the engine, which first waits for the writes of the ``scopes``."""
        after = (*self.after, *self.gateway.writes.of(self.project_id, scopes))
        known = tuple(p for p in after if p.service in ENGINE_READS)
        try:
            return await self._ask(topics.ENGINE_REQUESTS, key, request, known)
        finally:
            self.remember("ledger", scopes)

    def remember(self, service: str, scopes: Sequence[str]) -> None:
        """Remember what this call has written so far, refusals included, under the scopes."""
        self.gateway.writes.remember(self.project_id, service, self.positions, scopes)

    async def _ask(
        self, topic: str, key: str, message: Message, after: tuple[Position, ...] = ()
    ) -> Reply:
        self._commands += 1
        suffix = f"\x1f{self._commands}" if self._commands > 1 else ""
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

    @property
    def seed(self) -> str:
        """What a repeated request has in common with the first; empty without a client's key."""
        key = self.key.project_id or self.key.key_id
        return f"{key}\x1f{self.idempotency_key}" if self.has_client_key else ""


ENGINE_READS = {"gateway", "campaigns", "catalog", "customers", "distribution", "ledger"}


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
            raise HttpError(
                405,
                "method_not_allowed",
                "Method not allowed",
                f"Allowed: {allowed}",
                [(b"allow", allowed.encode())],
            )
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
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        started = time.perf_counter()
        request = _Request(scope, receive, f"v-{ids.new_id('x')[2:]}")
        self._in_flight += 1
        IN_FLIGHT.set(self._in_flight)
        try:
            _refuse_crowd(self._in_flight)
            answer = _encode(await self._in_time(request))
        except Exception as error:  # noqa: BLE001 - whatever it was, the client gets an answer
            answer = _encode(_error_answer(error, request))
        finally:
            self._in_flight -= 1
            IN_FLIGHT.set(self._in_flight)
        took = time.perf_counter() - started
        SECONDS.labels(request.operation, answer.status).observe(took)
        await _send(send, answer, request.headers_out)

    async def _in_time(self, request: "_Request") -> Answer:
        """Answer before the deadline, whatever hangs."""
        try:
            async with asyncio.timeout(limits.ANSWER_S_MAX) as request.deadline:
                return await self._answer(request)
        except TimeoutError:
            message = "no answer in time; the outcome is unknown, repeat with the same key"
            raise Unavailable(message, retry_after_s=1) from None

    async def _answer(self, request: "_Request") -> Answer:
        page = self._gateway.pages.get(request.path) if request.method == "GET" else None
        if page is not None:
            return page(request.scope)
        if request.method == "OPTIONS" and request.path.startswith("/client/"):
            return _preflight(request)
        found, params = self._router.find(request.method, request.path)
        request.operation = found.name
        key = await self._gateway.keys.authenticate(found.auth, Credentials.of(request.headers))
        if found.auth == CLIENT:
            request.headers_out.extend(_cross_origin(request.headers.get("origin", "*")))
            _refuse_switched_off(found, key)
        self._gateway.rates.take(key, request.headers_out)
        if not found.is_bulk:
            return await self._answer_with(found, key, params, request)
        # A large body may take its time to arrive, and has limits of its own.
        request.deadline.reschedule(None)
        async with self._gateway.bulk_bodies.turn():
            return await self._answer_with(found, key, params, request)

    async def _answer_with(
        self, found: Operation, key: ApiKey, params: dict[str, str], request: "_Request"
    ) -> Answer:
        """Receive the body and run the operation."""
        body = await _body_of(found, request)
        if found.is_bulk:
            now = asyncio.get_running_loop().time()
            request.deadline.reschedule(now + limits.BULK_ANSWER_S_MAX)
        given = _idempotency_key(request) if found.method != "GET" else ""
        call = Call(
            gateway=self._gateway,
            operation=found,
            request_id=request.id,
            key=key,
            params=params,
            query=_query(request.scope),
            body=_fields_of(found, body),
            idempotency_key=given or request.id,
            fingerprint=_fingerprint(request, body),
            has_client_key=bool(given),
            after=_after(request.headers),
        )
        return await self._run(call, request)

    async def _run(self, call: Call, request: "_Request") -> Answer:
        found = call.operation
        owner = call.key.project_id or call.key.key_id
        if call.has_client_key:
            kept = await self._gateway.idempotency.claim(
                owner, call.idempotency_key, call.fingerprint
            )
            if kept is not None:
                request.headers_out.append(REPLAYED)
                return Answer(kept.status, Raw(kept.content, JSON if kept.content else ""))
        try:
            result = await found.handler(call)
        except ValidationError as error:
            raise _unreadable(error) from error
        except asyncpg.DataError as error:
            raise InvalidQueryParams(f"A value cannot be compared: {error}") from error
        finally:
            if call.positions:
                told = format_positions(call.positions[-limits.HEADER_POSITIONS_MAX :])
                request.headers_out.append((POSITIONS_HEADER.encode(), told.encode()))
            if call.is_replayed:
                request.headers_out.append(REPLAYED)
        answer = _encode(result if isinstance(result, Answer) else Answer(200, result))
        if call.has_client_key and found.is_answer_kept:
            await self._gateway.idempotency.keep(
                owner, call.idempotency_key, answer.status, answer.body.content
            )
        logger.info(
            "answered", correlation_id=request.id, project=call.project_id, operation=found.name
        )
        return answer


JSON = "application/json; charset=utf-8"
REPLAYED = (b"idempotency-replayed", b"true")


class _Request:
    """What is known of a request before its operation; gathers the answer's headers."""

    def __init__(self, scope: Scope, receive: Any, request_id: str) -> None:
        self.scope = scope
        self.receive = receive
        self.id = request_id
        self.method: str = scope["method"]
        raw_path: bytes = scope.get("raw_path") or scope["path"].encode()
        self.path = raw_path.decode("latin-1").partition("?")[0]
        self.headers: dict[str, str] = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        self.headers_out: Headers = [(b"x-request-id", request_id.encode())]
        self.operation = "none"
        self.deadline: asyncio.Timeout


def _refuse_crowd(in_flight: int) -> None:
    """Refuse at once what would only wait, and make everybody wait longer."""
    if in_flight > limits.REQUESTS_IN_FLIGHT_MAX:
        message = f"{limits.REQUESTS_IN_FLIGHT_MAX} requests are being answered; repeat this one"
        raise Unavailable(message, retry_after_s=1)


def _refuse_switched_off(found: Operation, key: ApiKey) -> None:
    if found.setting and not key.may(found.setting):
        raise HttpError(403, "forbidden", "Forbidden", f"The project has {found.setting} off")


def _preflight(request: _Request) -> Answer:
    """Tell a browser that it may ask; whether the origin may is decided with its keys."""
    request.headers_out.extend(
        [
            *_cross_origin(request.headers.get("origin", "*")),
            (b"access-control-allow-methods", b"GET, POST, PUT, DELETE"),
            (b"access-control-allow-headers", ALLOWED_HEADERS.encode()),
            (b"access-control-max-age", b"600"),
        ]
    )
    return Answer(204)


ALLOWED_HEADERS = (
    "Content-Type, Idempotency-Key, X-Client-Application-Id, X-Client-Token, X-Tessera-Positions,"
    " X-Voucherify-Channel"
)


def _cross_origin(origin: str) -> Headers:
    return [
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-expose-headers", b"X-Request-Id, X-Tessera-Positions"),
        (b"vary", b"Origin"),
    ]


def _idempotency_key(request: _Request) -> str:
    given: str = request.headers.get("idempotency-key", "")
    if len(given) > limits.IDEMPOTENCY_KEY_LENGTH_MAX or not given.isprintable():
        told = f"At most {limits.IDEMPOTENCY_KEY_LENGTH_MAX} printable characters"
        raise HttpError(400, "invalid_idempotency_key", "Invalid Idempotency-Key", told)
    return given


def _unreadable(error: ValidationError) -> InvalidPayload:
    """Return the refusal for what slipped through to a command's own types."""
    first = error.errors(include_input=False, include_url=False)[0]
    path = ".".join(map(str, first["loc"]))
    return InvalidPayload(f"{path}: {first['msg']}", prop=path)


def _query(scope: Scope) -> list[tuple[str, str]]:
    text = scope["query_string"].decode("latin-1")
    try:
        return parse_qsl(text, keep_blank_values=True, max_num_fields=limits.QUERY_FIELDS_MAX)
    except ValueError:
        told = f"The query has more than {limits.QUERY_FIELDS_MAX} parameters"
        raise InvalidQueryParams(told) from None


def _after(headers: dict[str, str]) -> tuple[Position, ...]:
    text = headers.get(POSITIONS_HEADER, "")
    if not text:
        return ()
    try:
        found = parse_positions(text)[: limits.HEADER_POSITIONS_MAX]
    except ValueError as error:
        raise _invalid_positions(str(error)) from None
    for one in found:
        if one.service not in topics.SERVICES or not 0 <= one.partition < limits.PARTITIONS_MAX:
            raise _invalid_positions(f"there is no {one.service}/{one.partition}")
        if not 0 <= one.position < 2**63:
            raise _invalid_positions("a position is a number of 63 bits")
    return found


def _invalid_positions(details: str) -> HttpError:
    return HttpError(400, "invalid_header", "Invalid header X-Tessera-Positions", details)


async def _body_of(found: Operation, request: "_Request") -> JsonObject:
    """Receive and parse a body; a list stands under ``elements``."""
    if not found.is_bulk:
        return _read_body(found, request.headers, await _receive(request, limits.BODY_BYTES_MAX))
    try:
        async with asyncio.timeout(limits.BULK_BODY_RECEIVE_S):
            raw = await _receive(request, limits.BULK_BODY_BYTES_MAX)
    except TimeoutError:
        told = f"The body took longer than {limits.BULK_BODY_RECEIVE_S:g} s"
        raise HttpError(408, "request_timeout", "Request timeout", told) from None
    return await asyncio.to_thread(_read_body, found, request.headers, raw)


def _fields_of(found: Operation, body: JsonObject) -> JsonObject:
    if found.takes != A_LIST:
        return read_fields(body, found.fields)
    listed = body.get("elements")
    return {"elements": read_elements(listed, found.fields, limits.BULK_ELEMENTS_MAX)}


def _read_body(found: Operation, headers: dict[str, str], raw: bytes) -> JsonObject:
    if found.method in {"GET", "DELETE"} or not raw.strip():
        return {}
    given = headers.get("content-type", "application/json")
    media_type = given.partition(";")[0].strip().lower()
    if found.takes == A_FORM:
        if media_type != "multipart/form-data":
            raise _unsupported("multipart/form-data")
        return parse_form(raw, given)
    if media_type not in {"application/json", ""} and not media_type.endswith("+json"):
        raise _unsupported("application/json")
    body = parse_json(raw)
    if found.takes == A_LIST:
        return {"elements": body}
    if not isinstance(body, dict):
        raise InvalidPayload("The body must be a JSON object")
    return body


def _unsupported(wanted: str) -> HttpError:
    return HttpError(415, "unsupported_media_type", "Unsupported media type", f"Send {wanted}")


class BulkBodies:
    """Lets a few large bodies in at a time, so that they bound memory together."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(limits.BULK_BODIES_MAX)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a place; raises ``Unavailable`` when none becomes free in time."""
        try:
            async with asyncio.timeout(limits.BULK_BODY_WAIT_S):
                await self._free.acquire()
        except TimeoutError:
            raise Unavailable("too many imports at the same time", retry_after_s=5) from None
        try:
            yield
        finally:
            self._free.release()


async def _receive(request: _Request, bytes_max: int) -> bytes:
    length = request.headers.get("content-length", "0")
    too_large = HttpError(
        413, "payload_too_large", "Payload too large", f"At most {bytes_max} bytes"
    )
    if length.isdigit() and (len(length) > 15 or int(length) > bytes_max):  # noqa: PLR2004 - digits
        raise too_large
    raw = bytearray()
    while True:
        part = await request.receive()
        if part["type"] == "http.disconnect":
            raise HttpError(400, "invalid_payload", "Invalid payload", "The body ended too early")
        raw += part.get("body", b"")
        if len(raw) > bytes_max:
            raise too_large
        if not part.get("more_body"):
            return bytes(raw)


def _fingerprint(request: _Request, body: JsonObject) -> str:
    """Return what makes two requests the same one: operation, address, query and body."""
    told = orjson.dumps(body, option=orjson.OPT_SORT_KEYS) if body else b""
    query = request.scope["query_string"]
    address = f"{request.method} {request.path}".encode()
    return hashlib.sha256(b"\n".join((address, query, told))).hexdigest()


def _error_answer(error: Exception, request: _Request) -> Answer:
    headers = request.headers_out
    if isinstance(error, INFRASTRUCTURE_ERRORS):
        logger.warning("unavailable", correlation_id=request.id, error=repr(error))
        error = unavailable_by(error)
    retry_after_s: int | None = getattr(error, "retry_after_s", None)
    if isinstance(error, ApiError):
        told = error.error
    elif isinstance(error, Unavailable | DomainError):
        told = error.body()
        headers.extend(getattr(error, "headers", ()))
    else:
        where = request.operation  # a path has codes in it
        logger.error("request_failed", correlation_id=request.id, operation=where, exc_info=error)
        told = ErrorBody(code=500, key="internal_error", message="Internal error")
    if retry_after_s is not None:
        headers.append((b"retry-after", str(math.ceil(retry_after_s)).encode()))
    # Not its details: they name codes and customers.
    logger.info(
        "refused",
        correlation_id=request.id,
        operation=request.operation,
        status=told.code,
        key=told.key,
    )
    shown = told.model_dump(exclude_none=True) | {"request_id": request.id}
    return Answer(told.code, shown)


def _encode(answer: Answer) -> Answer:
    """Return the answer with its body as it is sent."""
    if isinstance(answer.body, Raw):
        return answer
    if answer.status == 204:  # noqa: PLR2004 - no content
        return Answer(204, Raw(b"", ""))
    return Answer(answer.status, Raw(orjson.dumps(answer.body), JSON))


async def _send(send: Any, answer: Answer, extra: Headers) -> None:
    content, media_type = answer.body
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
