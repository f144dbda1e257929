"""A whole running system, and a plain HTTP client of its API."""

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import httpx

from tessera_stack import services, start_infra
from tessera_stack.infra import Infra
from tessera_stack.state import State
from tests.support.openapi import assert_valid

ROOT = Path(__file__).resolve().parents[1]
DIRECTORY = Path(os.environ.get("TESSERA_STACK_DIR", ROOT / ".local" / "test"))
ENV_FILE = Path(os.environ.get("TESSERA_ENV_FILE", DIRECTORY / "env"))
CRASH_DIRECTORY = DIRECTORY / "crash"
Json = dict[str, Any]
Request = tuple[str, str, Json, str]
"""Method, path, body and idempotency key; without a key, an empty text."""


class System:
    """The system under test: started for the run, or the one that the environment names."""

    def __init__(self) -> None:
        self.env: dict[str, str] = {}
        self.state = State(DIRECTORY)
        self._keeper: _Keeper | None = None

    def start(self) -> None:
        """Start everything; harmless when it runs. Its crash points can be armed: see ``arm``."""
        CRASH_DIRECTORY.mkdir(parents=True, exist_ok=True)
        os.environ["CRASH_DIRECTORY"] = str(CRASH_DIRECTORY)
        self._stack("up")
        os.environ["TESSERA_ENV_FILE"] = str(ENV_FILE)
        self.env = _read(ENV_FILE)

    @contextmanager
    def scaled(self, **counts: int) -> Iterator[list[str]]:
        """Run so many processes of these services; yields the addresses of all gateways."""
        names = {f"SCALE_{service.upper()}": str(count) for service, count in counts.items()}
        os.environ.update(names)
        try:
            self._stack("up")
            yield [
                f"http://127.0.0.1:{self.state.port(f'http_{name}')}"
                for name in self.state.read()["health"]
                if name.partition("-")[0] == "gateway"
            ]
        finally:
            for name in names:
                del os.environ[name]
            self._stack("up")

    def restart(self, service: str = "") -> None:
        """Do what ``make restart`` does."""
        self._stack("restart", *([service] if service else []))

    def backup(self, directory: Path) -> None:
        """Do what ``make backup`` does."""
        self._stack("backup", str(directory))

    def restore(self, directory: Path) -> None:
        """Do what ``make restore`` does."""
        self._stack("restore", str(directory))

    def stop(self) -> None:
        """Stop what was started."""
        self._stack("down")

    def _stack(self, action: str, *arguments: str) -> str:
        command = [sys.executable, "-m", "tessera_stack", action, *arguments]
        command += ["--dir", str(DIRECTORY), "--env-file", str(ENV_FILE)]
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT / "deploy" / "local")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{action}:\n{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    @property
    def infra(self) -> Infra:
        """Addresses of Kafka and Postgres."""
        return start_infra(DIRECTORY)

    def kill(self, service: str) -> None:
        """SIGKILL a service; supervisord starts it again."""
        services.kill(self.state, service)

    def arm(self, service: str, point: str) -> Path:
        """Let the service die when it next passes the crash point; the file is gone when it has."""
        file = CRASH_DIRECTORY / f"{service}.{point}"
        file.touch()
        return file

    def pause(self, service: str) -> None:
        """Stop a service and leave it stopped."""
        services.supervisorctl(self.state, "stop", service)

    def resume(self, service: str) -> None:
        """Start a stopped service and wait until it is ready."""
        services.supervisorctl(self.state, "start", service)
        port = self.state.read()["health"][service]
        wait_until(lambda: services.is_ready(port), f"{service} ready", timeout_s=120)

    @contextmanager
    def instead_of(self, service: str, **environment: str) -> Iterator[None]:
        """Run the service with other variables; when it dies it is started again, as it would be."""
        self.pause(service)
        values = {**os.environ, **services.environment(self.state, self.infra), **environment}
        values["HEALTH_PORT"] = str(self.state.read()["health"][service])
        if service == "gateway":
            values["HTTP_PORT"] = str(self.state.port("http_gateway"))
        log = DIRECTORY / "log" / f"instead-of-{service}.log"
        self._keeper = _Keeper([sys.executable, "-m", service], values, log)
        try:
            yield
        finally:
            self._keeper.stop()
            self.resume(service)

    @property
    def deaths(self) -> int:
        """How often the service of ``instead_of`` has died."""
        return self._keeper.deaths if self._keeper is not None else 0

    def audit(self) -> str:
        """Run the audit; fails with its findings."""
        return self._module("tools.audit")

    def admin(self, *arguments: str) -> str:
        """Run ``runtime.admin``."""
        return self._module("runtime.admin", *arguments)

    def _module(self, module: str, *arguments: str) -> str:
        values = {**os.environ, **services.environment(self.state, self.infra)}
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env=values,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{module}:\n{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def project(self, **more: Any) -> "Api":
        """Create a new project, with what it is to have besides; returns a client with its server key."""
        management = self.management()
        body = {
            "name": f"Test {uuid.uuid4().hex[:8]}",
            "timezone": "Europe/Berlin",
            "currency": "EUR",
            **more,
        }
        made = management.must("POST", "/management/v1/projects", body)
        key = made["server_side_key"]
        headers = {"X-App-Id": key["app_id"], "X-App-Token": key["app_token"]}
        return Api(self.env["TESSERA_URL"], headers, made["id"], made)

    def management(self) -> "Api":
        """Return a client with the management key."""
        headers = {
            "X-Management-Id": self.env["TESSERA_MANAGEMENT_ID"],
            "X-Management-Token": self.env["TESSERA_MANAGEMENT_TOKEN"],
        }
        return Api(self.env["TESSERA_URL"], headers, "")


class _Keeper:
    """Restarts a process that dies, as supervisord would."""

    def __init__(self, command: list[str], env: dict[str, str], log: Path) -> None:
        self._command, self._env, self._log = command, env, log
        self._process = self._start()
        self._stopped = threading.Event()
        self.deaths = 0
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self._thread.start()

    def _start(self) -> "subprocess.Popen[bytes]":
        with self._log.open("ab") as log:
            return subprocess.Popen(self._command, env=self._env, cwd=ROOT, stdout=log, stderr=log)

    def _keep(self) -> None:
        while not self._stopped.is_set():
            if self._process.poll() is not None:
                self.deaths += 1
                self._process = self._start()
            self._stopped.wait(0.05)

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()
        self._process.terminate()
        self._process.wait(30)


class Answer(NamedTuple):
    """One HTTP answer."""

    status: int
    json: Any
    headers: Mapping[str, str]

    @property
    def is_definite(self) -> bool:
        """Whether the request was decided: after 503 or 429 it is repeated with its key."""
        return self.status not in {429, 503}

    @property
    def key(self) -> str:
        """The error's key."""
        return str(self.json.get("key", "")) if isinstance(self.json, dict) else ""


class Api:
    """The public API with one set of keys."""

    def __init__(
        self, url: str, headers: dict[str, str], project_id: str, made: Json | None = None
    ) -> None:
        self.project_id = project_id
        self.made = made or {}
        self.headers = headers
        self.url = url
        limits = httpx.Limits(max_connections=600, max_keepalive_connections=600)
        self._client = httpx.Client(base_url=url, headers=headers, timeout=60, limits=limits)

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str = "",
        content: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Send one request."""
        extra = {**({"Idempotency-Key": key} if key else {}), **(headers or {})}
        if content is not None:
            extra = {"Content-Type": "application/json", **extra}
            response = self._client.request(method, path, content=content, headers=extra)
        else:
            response = self._client.request(method, path, json=body, headers=extra)
        is_json = response.headers.get("content-type", "").startswith("application/json")
        answer = Answer(
            response.status_code, response.json() if is_json else None, response.headers
        )
        if 200 <= answer.status < 300 and answer.json is not None:
            assert_valid(method, path, answer.status, answer.json)
        return answer

    def must(self, method: str, path: str, body: Any = None, *, key: str = "") -> Any:
        """Send one request that has to succeed; returns its body."""
        answer = self.call(method, path, body, key=key)
        assert 200 <= answer.status < 300, (method, path, answer.status, answer.json)
        return answer.json

    @asynccontextmanager
    async def callers(self, count: int) -> AsyncIterator["Callers"]:
        """Yield a connection for each of so many callers."""
        async with aiohttp.ClientSession(
            self.url,
            headers=self.headers,
            connector=aiohttp.TCPConnector(limit=count),
            timeout=aiohttp.ClientTimeout(total=60),
        ) as session:
            yield Callers(session)

    async def at_once(self, requests: list[Request], *, retries: int = 0) -> list[Answer]:
        """Send requests at the same moment.

        With ``retries`` an indefinite answer (503, 429, lost connection) is repeated with its key.
        """

        async def send(callers: Callers, request: Request) -> Answer:
            for attempt in range(retries + 1):
                answer = await callers.ask(request)
                if answer is not None and (answer.is_definite or attempt == retries):
                    return answer
                await asyncio.sleep(0.25)
            raise AssertionError(f"no answer: {request}")

        async with self.callers(len(requests)) as callers:
            answers = list(await asyncio.gather(*(send(callers, one) for one in requests)))
        _assert_all_valid(requests, answers)
        return answers

    # -- what tests need all the time ------------------------------------------------------------

    def voucher(self, quantity: int | None = None, code: str = "", **more: Any) -> str:
        """Create a code that takes 1.00 off the order; returns it."""
        code = code or f"T-{uuid.uuid4().hex[:10]}"
        body = {
            "type": "DISCOUNT_VOUCHER",
            "discount": {"type": "AMOUNT", "amount_off": 100, "effect": "APPLY_TO_ORDER"},
            "redemption": {"quantity": quantity},
            **more,
        }
        self.must("POST", f"/v1/vouchers/{code}", body)
        return code

    def redeem(self, *codes: str, amount: int = 2000, customer: str = "", key: str = "") -> Answer:
        """Redeem codes on an order of its own."""
        return self.call(
            "POST", "/v1/redemptions", cart(*codes, amount=amount, customer=customer), key=key
        )


class Callers:
    """Many callers in one process. Not through httpx: its pool looks at all connections at each request, and
    of 500 callers it takes longer than the system that they ask."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def ask(self, request: Request) -> Answer | None:
        """Send a request; None if the connection is lost before its answer is there."""
        method, path, body, key = request
        headers = {"Idempotency-Key": key} if key else {}
        try:
            async with self._session.request(method, path, json=body, headers=headers) as response:
                return Answer(response.status, await response.json(), response.headers)
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError):
            return None


def _assert_all_valid(requests: list[Request], answers: list[Answer]) -> None:
    """Check the 2xx bodies, each different one once: repeated requests are answered the same."""
    seen = set()
    for (method, path, _, _), answer in zip(requests, answers, strict=True):
        told = (method, path, answer.status, json.dumps(answer.json, sort_keys=True))
        if 200 <= answer.status < 300 and answer.json is not None and told not in seen:
            seen.add(told)
            assert_valid(method, path, answer.status, answer.json)


def cart(*codes: str, amount: int = 2000, customer: str = "") -> Json:
    """Return a request to validate or redeem the codes on a new order."""
    return {
        "redeemables": [{"object": "voucher", "id": code} for code in codes],
        "customer": {"source_id": customer or f"c-{uuid.uuid4().hex[:8]}"},
        "order": {"source_id": f"o-{uuid.uuid4().hex}", "amount": amount},
    }


def wait_until(look: Callable[[], Any], what: str, timeout_s: float = 30) -> Any:
    """Return the first true value of ``look``; fails after the deadline."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {timeout_s} s: {what}")


def run(work: Awaitable[Any]) -> Any:
    """Run a coroutine from a synchronous test."""
    return asyncio.run(work)  # type: ignore[arg-type]


def _read(path: Path) -> dict[str, str]:
    os.environ["TESSERA_ENV_FILE"] = str(path)
    values = {}
    for line in path.read_text().splitlines():
        name, separator, value = line.partition("=")
        if separator:
            values[name] = value.strip("'\"")
    return values
