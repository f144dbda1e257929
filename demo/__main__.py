"""Play the day; exit 1 if any step is not exactly as expected."""

import secrets
import sys
import time
import traceback

from demo.day import STEPS, Day
from demo.outside import HookReceiver, Mailbox
from demo.shop import Shop, call, read_env


def main() -> int:
    """Play all steps against the running system."""
    env = read_env()
    if "TESSERA_URL" not in env:
        print("No running system: start one with `make up`.", file=sys.stderr)
        return 1
    run = secrets.token_hex(2)
    shop = open_shop(env, run)
    mailbox = Mailbox(int(env["TESSERA_SMTP_PORT"]))
    receiver = HookReceiver()
    mailbox.start()
    receiver.start()
    started = time.monotonic()
    try:
        return play(Day(shop, env, run, mailbox, receiver), started)
    finally:
        receiver.stop()
        mailbox.stop()


def play(day: Day, started: float) -> int:
    """Play the steps in order; stop at the first that goes wrong."""
    for number, (title, step) in enumerate(STEPS, 1):
        print(f"\n{number}. {title}: {(step.__doc__ or '').strip()}", flush=True)
        try:
            step(day)
        except Exception as error:  # noqa: BLE001 - whatever went wrong, the user sees where
            if not isinstance(error, AssertionError):
                traceback.print_exc()
            print(f"   FAILED: {error}", file=sys.stderr)
            return 1
    print(
        f"\nThe day is over: all {len(STEPS)} steps as expected, in {time.monotonic() - started:.0f} s."
    )
    return 0


def open_shop(env: dict[str, str], run: str) -> Shop:
    """Return the demo project, or a new one when a day was played in it before."""
    url = env["TESSERA_URL"]
    shop = Shop(url, env["TESSERA_PROJECT_ID"], env["TESSERA_APP_ID"], env["TESSERA_APP_TOKEN"])
    if shop.campaigns.list_campaigns(limit=1).total == 0:
        return shop
    headers = {
        "X-Management-Id": env["TESSERA_MANAGEMENT_ID"],
        "X-Management-Token": env["TESSERA_MANAGEMENT_TOKEN"],
    }
    body = {"name": f"Shop day {run}", "timezone": "Europe/Berlin", "currency": "EUR"}
    project = call(url, "POST", "/management/v1/projects", headers, body)
    keys = project["server_side_key"]
    print(
        f"The demo project has seen its day; this one is played in the new project {project['id']}."
    )
    return Shop(url, project["id"], keys["app_id"], keys["app_token"])


if __name__ == "__main__":
    sys.exit(main())
