"""The demo starts the app with its own settings, waits for it, serves the page beside it, and clears up."""

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest

from bot.demo.app_process import AppDied
from bot.demo.server import Demo

FAKE_APP = """
import os
from aiohttp import web

async def healthy(request):
    return web.json_response({name: value for name, value in os.environ.items()})

async def take(request):
    print("took", request.headers["webhook-id"], flush=True)
    return web.Response(status=202)

app = web.Application()
app.router.add_get("/healthz", healthy)
app.router.add_post("/polar/webhooks", take)
web.run_app(app, host=os.environ["HOST"], port=int(os.environ["PORT"]), print=None)
"""


@pytest.fixture
def fake_app(tmp_path: Path) -> Sequence[str]:
    """The command of an app that answers its environment and takes every webhook."""
    script = tmp_path / "fake_app.py"
    script.write_text(FAKE_APP)
    return sys.executable, str(script)


async def test_the_app_gets_the_desks_settings_and_nothing_of_the_users(
    fake_app: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.invalid")
    monkeypatch.setenv("POLAR_ACCESS_TOKEN", "polar_oat_of_the_user")
    async with Demo.start(command=fake_app, opening=False) as demo, httpx.AsyncClient() as client:
        environment = (await client.get(f"{demo.app.url}/healthz")).json()

    assert environment["POLAR_ACCESS_TOKEN"] == demo.polar.token
    assert environment["POLAR_API_URL"] == f"{demo.url}/polar"
    assert environment["SLACK_API_URL"] == f"{demo.url}/slack/api/"
    assert environment["POLAR_WEBHOOK_SECRET"] == demo.polar.webhook_secret
    assert "HTTPS_PROXY" not in environment


async def test_the_opening_is_sent_as_soon_as_the_app_is_healthy(fake_app: Sequence[str]) -> None:
    said: list[str] = []
    async with Demo.start(command=fake_app, say=said.append) as demo:
        sent = demo.polar.snapshot()["sent"]

    assert {"order.paid", "order.refunded", "benefit_grant.revoked"} <= {each["type"] for each in sent}
    assert {each["status"] for each in sent} == {202}
    assert said.count(f"took {sent[0]['webhook_id']}") == 1


async def test_the_page_and_both_stand_ins_share_one_origin(fake_app: Sequence[str]) -> None:
    async with (
        Demo.start(command=fake_app, opening=False) as demo,
        httpx.AsyncClient(base_url=demo.url) as client,
    ):
        page = await client.get("/")
        sent = await client.post("/page/polar/send", json={"name": "order.paid"})
        other_site = await client.post(
            "/page/polar/send", json={"name": "order.paid"}, headers={"Origin": "https://evil.example"}
        )
        nonsense = await client.post("/page/polar/send", content=b"[")
        their_month = await client.post("/page/month/play", headers={"Origin": "https://evil.example"})
        too_early = await client.post("/page/month/pause", json={})
        unknown = await client.post("/page/month/snapshot", json={})
        slack = await client.post("/slack/api/auth.test")
        polar = await client.get("/polar/v1/orders/", headers={"Polar-Version": "2026-10"})

    assert page.headers["content-type"].startswith("text/html")
    assert (sent.json()["ok"], sent.json()["status"]) == (True, 202)
    assert (other_site.status_code, nonsense.status_code) == (403, 400)
    assert their_month.status_code == 403
    assert demo.month.state == "ready"
    assert (too_early.json()["ok"], unknown.json()["ok"]) == (False, False)
    assert (slack.json()["ok"], polar.status_code) == (False, 401)


async def test_the_app_is_stopped_and_its_folder_removed(fake_app: Sequence[str]) -> None:
    async with Demo.start(command=fake_app, opening=False) as demo, httpx.AsyncClient() as client:
        database = (await client.get(f"{demo.app.url}/healthz")).json()["DATABASE_URL"]
        folder = Path(database.removeprefix("sqlite+aiosqlite:///")).parent
        assert folder.is_dir()

    assert demo.app.process.returncode is not None
    assert not folder.exists()


async def test_an_app_that_dies_at_start_is_told_with_its_last_words(tmp_path: Path) -> None:
    command = (sys.executable, "-c", "raise SystemExit('SLACK_CHANNEL is missing')")

    with pytest.raises(AppDied, match="SLACK_CHANNEL is missing"):
        async with Demo.start(command=command):
            pytest.fail("the demo must not open")


async def test_a_killed_app_comes_back_at_the_same_address_and_gets_what_it_missed(
    fake_app: Sequence[str],
) -> None:
    said: list[str] = []
    async with Demo.start(command=fake_app, opening=False, say=said.append) as demo:
        await demo.app.kill()
        missed = await demo.story.send("order.paid")
        await demo.app.start()
        await demo.app.healthy()
        event = demo.polar.webhooks.events[missed["webhook_id"]]
        demo.polar.webhooks.redeliver(event)
        await demo.story.send("order.refunded")

    assert missed["ok"] is False
    assert f"took {event.id}" in said


async def test_a_failure_in_the_middle_still_stops_the_app(fake_app: Sequence[str]) -> None:
    with pytest.raises(ZeroDivisionError):
        async with Demo.start(command=fake_app, opening=False) as demo:
            raise ZeroDivisionError

    assert demo.app.process.returncode is not None


async def run_demo(command: Sequence[str]) -> asyncio.subprocess.Process:
    program = (
        "import asyncio, sys; from bot.demo.server import serve; "
        f"sys.exit(asyncio.run(serve(port=0, open_browser=False, command={tuple(command)!r})))"
    )
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )


async def test_the_demo_says_where_it_is_and_stops_in_order(fake_app: Sequence[str]) -> None:
    demo = await run_demo(fake_app)
    assert demo.stdout is not None

    line = (await asyncio.wait_for(demo.stdout.readline(), 20)).decode()
    address, again = line.split()[4], ""
    while not again.startswith("The demo is at"):  # once more, below the app's own log
        again = (await asyncio.wait_for(demo.stdout.readline(), 20)).decode()
    demo.terminate()
    rest = (await asyncio.wait_for(demo.stdout.read(), 20)).decode()

    assert line.startswith("The demo is at http://127.0.0.1:")
    assert address in again
    assert rest.endswith("The demo has stopped.\n")
    assert await demo.wait() == 0


async def test_the_demo_says_when_its_app_has_stopped(tmp_path: Path) -> None:
    script = tmp_path / "dying_app.py"
    script.write_text(FAKE_APP.replace("print(", "os._exit(3); print("))
    demo = await run_demo((sys.executable, str(script)))

    said, _ = await asyncio.wait_for(demo.communicate(), 20)

    assert "The app stopped by itself with exit code 3" in said.decode()
    assert demo.returncode == 1
