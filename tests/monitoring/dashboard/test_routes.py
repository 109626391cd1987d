"""Every address of the dashboard on a running bridge, as a browser and as strangers ask for it."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import re
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from bridge.demo.feed import SAMPLES, recorded
from bridge.monitoring.dashboard.pages import FOLDER
from bridge.sockets.pusher.signatures import sign, subscription_text
from tests.end_to_end.processes import environment
from tests.monitoring.dashboard.serving import (
    BASE,
    PASSWORD,
    PATIENCE,
    Served,
    cache_in_files,
    serving,
    until,
)
from tests.sockets.webhooks.receiver import receiving

LOOKING = (
    "session",
    "feed",
    "traces",
    "channels",
    "channels/demo/x",
    "connections",
    "failed",
    "demo/statistics",
    "history?app=demo",
    "job-history",
    "queued",
    "webhooks",
)
CHANGING = (
    "logout", "event", "auth", "api/jobs", "api/failed/retry", "api/failed/delete", "api/failed/payload",
    "api/disconnect", "api/queues/pause", "api/queues/continue",
)  # fmt: skip


def test_a_stranger_gets_the_log_in_and_nothing_else(served: Served) -> None:
    client = served.client()
    page = client.get(BASE)
    assert "Password of the dashboard" in page.text
    assert {client.get(f"{BASE}/api/{path}").status_code for path in LOOKING} == {401}
    assert {client.post(f"{BASE}/{path}", json={}).status_code for path in CHANGING} == {401}


def test_without_a_password_the_dashboard_is_closed(tmp_path: Path) -> None:
    with serving(tmp_path, dashboard_password="") as served:
        client = served.client()
        answer = client.get(BASE)
        assert (answer.status_code, "BRIDGE_DASHBOARD_PASSWORD" in answer.text) == (403, True)
        assert client.post(f"{BASE}/login", json={"password": ""}).status_code == 403
        assert client.get(f"{BASE}/api/session").status_code == 401


def test_no_page_and_no_answer_holds_a_secret(served: Served) -> None:
    client = served.logged_in()
    texts = [client.get(BASE).text, client.get(f"{BASE}/").text]
    texts += [client.get(f"{BASE}/static/{file.name}").text for file in FOLDER.iterdir()]
    texts += [client.get(f"{BASE}/api/{path}").text for path in LOOKING if path != "feed"]
    assert all(texts)
    for secret in (PASSWORD, served.app.secret.reveal()):
        assert not any(secret in text for text in texts)


def test_the_page_runs_nothing_from_elsewhere_and_stands_in_no_frame(served: Served) -> None:
    client = served.logged_in()
    page = client.get(BASE)
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<script(?! type=\"module\" src)|\son\w+=|\sstyle=", page.text)
    for file in FOLDER.iterdir():
        text = client.get(f"{BASE}/static/{file.name}").text
        assert not re.search(r"(?:src|href)=\"https?:|url\(|@import|innerHTML|eval\(", text), file.name


def test_the_cookie_is_out_of_reach_for_scripts_and_other_sites(served: Served) -> None:
    answer = served.client().post(f"{BASE}/login", json={"password": PASSWORD})
    cookie = answer.headers["set-cookie"].lower()
    assert {"httponly", "samesite=lax", f"path={BASE}"} <= {part.strip() for part in cookie.split(";")}
    behind_tls = served.client().post(
        f"{BASE}/login", json={"password": PASSWORD}, headers={"X-Forwarded-Proto": "https"}
    )
    assert "secure" in behind_tls.headers["set-cookie"].lower()


def link(secret: str, nonce: str = "n") -> str:
    expires = f"{time.time() + 60:.0f}"
    text = f"bridge-dashboard:{expires}:{nonce}"
    return f"{expires}.{nonce}.{hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()}"


def test_a_link_of_the_app_opens_it_without_password_once(served: Served) -> None:
    token = link(served.app.secret.reveal())
    client = served.client()
    assert "Overview" not in served.client().get(BASE, params={"token": f"{token[:-1]}x"}).text
    assert served.client().head(BASE, params={"token": token}).status_code == 200, "it uses nothing up"
    answer = client.get(BASE, params={"token": token})
    assert (answer.status_code, answer.headers["location"]) == (303, BASE)
    assert "Overview" in client.get(BASE).text
    assert "Overview" not in served.client().get(BASE, params={"token": token}).text


def test_the_apps_own_gate_lets_in_and_says_who_only_looks(tmp_path: Path) -> None:
    gate = "https://app.example/bridge"
    with serving(tmp_path, dashboard_gate=gate) as served:
        client = served.client()
        answer = client.get(BASE)
        assert (answer.status_code, answer.headers["location"]) == (303, gate)
        assert "Password" in client.get(BASE, params={"password": ""}).text, "the other way in"
        assert client.get(BASE, params={"token": "bad"}).status_code == 200, "no circle of two servers"
        token = link(served.app.secret.reveal(), "n:look").replace(":", ".")
        assert client.get(BASE, params={"token": token}).status_code == 303
        assert "Overview" in client.get(BASE).text
        session = client.get(f"{BASE}/api/session").json()
        assert (session["may_do"], session["shows_payloads"]) == (False, False)
        client.headers["X-CSRF-Token"] = session["csrf"]
        statuses = {path: client.post(f"{BASE}/{path}", json={}).status_code for path in CHANGING[1:]}
        assert set(statuses.values()) == {403}, statuses
        line = 'dashboard: link used address="127.0.0.1" may="look"'
        until("it is in the log", lambda: line in served.log.read_text())
        assert client.post(f"{BASE}/logout", json={}).status_code == 200
        assert client.get(BASE).status_code == 303


def test_only_the_default_connection_or_the_secret_of_links_signs_links(tmp_path: Path) -> None:
    apps = json.dumps([{"id": "second", "key": "second-key", "secret": "second-secret"}])
    with serving(tmp_path, apps=apps) as served:
        client = served.client()
        assert client.get(BASE, params={"token": link("second-secret")}).status_code == 200
        assert client.get(f"{BASE}/api/session").status_code == 401
        assert client.get(BASE, params={"token": link(served.app.secret.reveal())}).status_code == 303
    (own := tmp_path / "own").mkdir()
    with serving(own, dashboard_link_secret="of links", dashboard_password="") as served:
        client = served.client()
        assert client.get(BASE, params={"token": link(served.app.secret.reveal())}).status_code == 403
        assert client.get(BASE, params={"token": link("of links")}).status_code == 303


def test_logging_out_ends_the_session_for_whoever_has_its_cookie(served: Served) -> None:
    person = served.logged_in()
    thief = served.client()
    thief.cookies = httpx.Cookies(person.cookies)
    assert thief.get(f"{BASE}/api/session").status_code == 200
    with thief.stream("GET", f"{BASE}/api/feed") as stream:
        lines = stream.iter_lines()
        next(lines)
        assert person.post(f"{BASE}/logout", json={}).status_code == 200
        assert sum(1 for _ in lines) < 100, "the stream ends too"
    assert thief.get(f"{BASE}/api/session").status_code == 401


def test_what_is_done_at_the_dashboard_is_in_the_log_with_the_address(served: Served) -> None:
    person = served.logged_in()
    fields = {"appId": "demo", "channel": "audited", "event": "seen", "data": '{"pin": "no-audit-of-data"}'}
    person.post(f"{BASE}/event", json=fields)
    person.post(f"{BASE}/api/jobs", json=fields)
    person.post(f"{BASE}/auth", json={"socket_id": "1.2", "channel_name": "private-audited"},
                headers={"X-App-ID": "demo"})  # fmt: skip
    served.client().post(f"{BASE}/login", json={"password": "wrong word"})
    person.post(f"{BASE}/logout", json={})
    ended = r'info dashboard: logged out address="127\.0\.0\.1"'  # the last one to be written
    until("all is in the log", lambda: re.search(ended, served.log.read_text().partition("audited")[2]))
    told = served.log.read_text()
    for line in (
        r'info dashboard: logged in address="127\.0\.0\.1"',
        r'info dashboard: event sent address="127\.0\.0\.1" app="demo" channel="audited" event="seen"',
        r'info dashboard: job sent address="127\.0\.0\.1" app="demo" channel="audited" event="seen" job="',
        r'info dashboard: subscription signed address="127\.0\.0\.1" app="demo" channel="private-audited"',
        r'warning dashboard: log-in refused address="127\.0\.0\.1" wrong_passwords=1',
        r'info dashboard: logged out address="127\.0\.0\.1"',
    ):
        assert re.search(line, told), line
    assert "wrong word" not in told
    assert "no-audit-of-data" not in told


def test_a_body_that_is_cut_off_is_no_fault_of_ours(served: Served) -> None:
    url = httpx.URL(served.address)
    with socket.create_connection((url.host, url.port or 0), timeout=PATIENCE) as client:
        head = f"POST {BASE}/login HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\nExpect: 100-continue\r\n\r\n"
        client.sendall(head.encode())
        assert client.recv(100).split()[1] == b"100"  # the head has been read
        client.sendall(b"{")
    assert served.client().get("/up").status_code == 200
    assert "Traceback" not in served.log.read_text()


@pytest.mark.parametrize(
    "fields",
    [
        {"app_id": "\ud800"}, {"app_id": "demo", "secret": "\udfff"}, {"password": "\ud800"},
        {"app_id": "demo", "x": [{"\ud800": 1}]},
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["statistics", "login"])
def test_half_a_character_is_refused(served: Served, path: str, fields: dict[str, Any]) -> None:
    body = json.dumps(fields).encode()
    answer = served.client().post(f"{BASE}/{path}", content=body)
    assert (answer.status_code, "surrogate" in answer.text) == (400, True)


def test_a_change_without_the_token_or_from_another_site_is_refused(served: Served) -> None:
    client = served.logged_in()
    fields = {"appId": "demo", "channel": "c", "event": "e", "data": "{}"}
    assert client.post(f"{BASE}/event", json=fields).status_code == 200
    assert client.post(f"{BASE}/event", json=fields, headers={"X-CSRF-Token": "x"}).status_code == 403
    assert (
        client.post(f"{BASE}/event", json=fields, headers={"Origin": "https://evil.example"}).status_code
        == 403
    )


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"appId": "nobody"}, 404),
        ({"channel": "no spaces"}, 422),
        ({"channel": 7}, 422),
        ({"event": ""}, 422),
        ({"data": "{"}, 422),
        ({"data": '{"a": NaN}'}, 422),
        ({"data": "[-Infinity]"}, 422),
        ({"data": {"a": 1}}, 422),
        ({"data": json.dumps("x" * 10_241)}, 413),
        ({"channel": "private-encrypted-x"}, 422),
        ({"data": json.dumps("x" * 400_000)}, 413),
    ],
)
def test_what_cannot_be_sent_is_refused_with_a_reason(
    served: Served, wrong: dict[str, Any], status: int
) -> None:
    fields = {"appId": "demo", "channel": "c", "event": "e", "data": "{}", **wrong}
    answer = served.logged_in().post(f"{BASE}/event", json=fields)
    assert answer.status_code == status
    assert len(answer.text) > 10


def test_an_event_arrives_exactly_as_it_was_written(served: Served) -> None:
    data = '{"b": 1.0, "a": "\\u00fc ы"}'
    with subscribed(served, "exact") as client:
        fields = {"appId": "demo", "channel": "exact", "event": "App\\X", "data": data}
        assert served.logged_in().post(f"{BASE}/event", json=fields).json() == {"receivers": 1}
        message = json.loads(client.recv(timeout=PATIENCE))
    assert (message["event"], message["data"]) == ("App\\X", data)


def test_a_job_goes_through_the_queue_and_its_way_is_told(served: Served) -> None:
    person = served.logged_in()
    value = {"list": [1, 2.5, None, True], "text": "ы \0 \" '", "deep": {"7": "x"}, "huge": 2**63}
    with subscribed(served, "presence-made") as client:
        fields = {"appId": "demo", "channel": "presence-made", "event": "made", "data": json.dumps(value)}
        job = person.post(f"{BASE}/api/jobs", json=fields).json()["job"]
        message = json.loads(client.recv(timeout=PATIENCE))
    assert message["event"] == "made"
    assert json.loads(message["data"]) == {**value, "huge": float(2**63)}

    def trace() -> Any:
        found = [trace for trace in person.get(f"{BASE}/api/traces").json() if trace["id"] == job]
        return found and found[0]["steps"][-1].get("step") == "delivered" and found[0]["steps"]

    steps = until("the job is done", trace)
    assert [step.get("step", step["kind"]) for step in steps] == [
        "reserved",
        "resolved",
        "broadcast",
        "delivered",
    ]
    assert (steps[1]["rung"], steps[2]["receivers"], steps[2]["channel"]) == ("framework", 1, "presence-made")
    assert all(one["at"] <= two["at"] for one, two in pairwise(steps))

    def found(search: str) -> list[str]:
        return [trace["id"] for trace in person.get(f"{BASE}/api/traces", params={"search": search}).json()]

    assert found(job.upper()) == [job]
    assert job in found("presence-made")
    assert found("nothing like it") == []


@pytest.mark.parametrize(
    ("data", "status"),
    [("1", 409), ("null", 409), ('"text"', 409), ('{"a":"\\ud800"}', 422), ("[1e400]", 422)],
)
def test_a_job_needs_data_that_laravel_could_hold(served: Served, data: str, status: int) -> None:
    fields = {"appId": "demo", "channel": "c", "event": "e", "data": data}
    assert served.logged_in().post(f"{BASE}/api/jobs", json=fields).status_code == status


def test_channels_members_and_connections_are_listed_and_found(served: Served) -> None:
    person = served.logged_in()
    with subscribed(served, "presence-list", "cache-list") as client:
        channels = person.get(f"{BASE}/api/channels", params={"search": "-list"}).json()
        kinds = {row["name"]: (row["kind"], row["subscribers"], row["members"]) for row in channels["rows"]}
        assert kinds == {"presence-list": ("presence", 1, 1), "cache-list": ("cache", 1, None)}
        one = person.get(f"{BASE}/api/channels/demo/presence-list").json()
        assert [(member["id"], json.loads(member["info"])) for member in one["members"]] == [
            ("7", {"name": "Zoë"})
        ]
        [row] = person.get(f"{BASE}/api/connections", params={"search": "presence-list"}).json()["rows"]
        assert (row["id"], row["address"], row["count"]) == (one["sockets"][0], "127.0.0.1", 2)
        assert row["users"] == [{"id": "7", "info": one["members"][0]["info"]}]
        client.close()
    gone = f"{BASE}/api/channels/demo/presence-list"
    until("the channel is vacant", lambda: person.get(gone).status_code == 404)
    assert person.get(f"{BASE}/api/channels/nobody/x").status_code == 404


def closed(client: ClientConnection) -> tuple[int, str]:
    """Code and reason that the server closes the client with."""
    messages = iter(partial(client.recv, timeout=PATIENCE), None)
    with pytest.raises(ConnectionClosed) as ended:
        list(messages)
    assert ended.value.rcvd is not None
    return ended.value.rcvd.code, ended.value.rcvd.reason


def test_a_socket_or_a_user_is_disconnected_for_good_with_a_line_for_it(served: Served) -> None:
    person = served.logged_in()
    where = f"{BASE}/api/disconnect"
    with (
        subscribed(served, "presence-ends") as one,
        subscribed(served, "presence-ends", "private-ends") as two,
        subscribed(served, "public-stays") as stays,
    ):
        sockets = person.get(f"{BASE}/api/channels/demo/presence-ends").json()["sockets"]
        fields = {"appId": "demo", "socket": sockets[0]}
        refused = person.post(where, json=fields, headers={"X-CSRF-Token": "x"})
        assert refused.status_code == 403
        assert person.post(where, json=fields).json() == {"ended": 1}
        assert closed(one) == (4009, "an administrator has ended this connection")
        until("it is gone", lambda: person.post(where, json=fields).status_code == 404)
        assert person.post(where, json={"appId": "demo", "user": "7"}).json() == {"ended": 1}
        assert closed(two)[0] == 4009
        until(
            "it is gone", lambda: person.post(where, json={"appId": "demo", "user": "7"}).status_code == 404
        )
        stays.ping().wait(PATIENCE)
        rows = person.get(f"{BASE}/api/connections", params={"search": "public-stays"}).json()["rows"]
        assert [row["users"] for row in rows] == [[]]
    lines = (
        f'dashboard: socket disconnected address="127.0.0.1" app="demo" socket="{sockets[0]}"',
        'dashboard: user disconnected address="127.0.0.1" app="demo" user="7" connections=1',
    )
    until("both are in the log", lambda: all(line in served.log.read_text() for line in lines))


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, 404), ({"appId": "nobody", "user": "7"}, 404), ({"appId": "demo"}, 422),
        ({"appId": "demo", "user": ""}, 422), ({"appId": "demo", "user": 7}, 422),
        ({"appId": "demo", "socket": ["1.2"]}, 422), ({"appId": "demo", "socket": "1.2", "user": "7"}, 422),
        ({"appId": "demo", "socket": "1.2"}, 404), ({"appId": "demo", "user": "never here"}, 404),
    ],
)  # fmt: skip
def test_nobody_else_is_disconnected(served: Served, fields: dict[str, Any], status: int) -> None:
    answer = served.logged_in().post(f"{BASE}/api/disconnect", json=fields)
    assert (answer.status_code, len(answer.text) > 10) == (status, True)


def test_a_failed_job_is_listed_with_its_reason_and_goes_back_once(served: Served) -> None:
    person = served.logged_in()
    job = served.queue_refused("App\\Events\\Missing")

    def failed() -> Any:
        found = person.get(f"{BASE}/api/failed", params={"search": job.upper()}).json()
        return [row for row in found["rows"] if row["id"] == job]

    [row] = until("the job has failed", failed)
    assert (row["event"], row["queue"]) == ("App\\Events\\Missing", "default")
    assert row["reason"].startswith("native: the class App\\Events\\Missing is not among")
    assert person.post(f"{BASE}/api/failed/retry", json={"ids": [job]}).json() == {"done": 1, "problem": ""}
    until("the job has failed again", failed)
    for what in ("retry", "delete"):
        answer = person.post(f"{BASE}/api/failed/{what}", json={"ids": ["no-such-job"]})
        assert (answer.status_code, "no such failed job" in answer.text) == (409, True)


def test_equal_failures_are_retried_and_deleted_together_with_a_line_for_each(served: Served) -> None:
    person = served.logged_in()
    jobs = [served.queue_refused("App\\Events\\Alike") for _ in range(3)]

    def failed(**asked: str) -> Any:
        return person.get(f"{BASE}/api/failed", params={"search": "Events\\alike", **asked}).json()

    [group] = until("they have failed", lambda: len((f := failed())["ids"]) == 3 and f["groups"])
    assert (set(group["ids"]), group["event"]) == (set(jobs), "App\\Events\\Alike")
    assert [row["id"] for row in failed(group=group["key"])["rows"]] == group["ids"]
    assert failed(group="another")["total"] == 0

    kept, *others = jobs
    answer = person.post(f"{BASE}/api/failed/delete", json={"ids": [*others, others[0], "no-such-job"]})
    assert (answer.json()["done"], "no such failed job" in answer.json()["problem"]) == (2, True)
    assert failed()["ids"] == [kept]
    assert person.post(f"{BASE}/api/failed/retry", json={"ids": [kept]}).json()["done"] == 1
    lines = {f'failed job deleted address="127.0.0.1" job="{job}"' for job in others}
    lines.add(f'failed job retried address="127.0.0.1" job="{kept}"')
    until("all are in the log", lambda: all(line in served.log.read_text() for line in lines))


@pytest.mark.parametrize("ids", [None, "x", [], [7], [None], {"a": 1}, ["x"] * 1_001])
@pytest.mark.parametrize("what", ["retry", "delete"])
def test_a_list_of_ids_that_is_none_is_refused(served: Served, what: str, ids: Any) -> None:
    answer = served.logged_in().post(f"{BASE}/api/failed/{what}", json={"ids": ids})
    assert (answer.status_code, len(answer.text) > 10) == (422, True)


@pytest.mark.parametrize("page", ["0", "-1", "²", "x", "9" * 5_000, ""])
def test_a_page_that_is_not_there_is_one_that_is(served: Served, page: str) -> None:
    assert served.logged_in().get(f"{BASE}/api/failed", params={"page": page}).json()["page"] == 1


def test_a_payload_is_shown_only_where_that_is_switched_on_and_leaves_a_line(
    served: Served, tmp_path: Path
) -> None:
    def failure(served: Served, person: httpx.Client) -> str:
        job = served.queue_refused("App\\Events\\Kept")
        asked = {"search": job}
        until("it has failed", lambda: person.get(f"{BASE}/api/failed", params=asked).json()["total"])
        assert "roomId" not in person.get(f"{BASE}/api/failed", params=asked).text
        return job

    person = served.logged_in()
    job = failure(served, person)
    answer = person.post(f"{BASE}/api/failed/payload", json={"id": job})
    assert (answer.status_code, "BRIDGE_DASHBOARD_PAYLOADS" in answer.text) == (409, True)
    assert person.get(f"{BASE}/api/session").json()["shows_payloads"] is False
    with serving(tmp_path, dashboard_payloads="true") as other:
        person = other.logged_in()
        job = failure(other, person)
        assert person.get(f"{BASE}/api/session").json()["shows_payloads"] is True
        payload = person.post(f"{BASE}/api/failed/payload", json={"id": job}).json()["payload"]
        assert (json.loads(payload)["uuid"], "PrivateConcat" in payload) == (job, False)
        line = f'info dashboard: payload of a failed job shown address="127.0.0.1" job="{job}"'
        until("it is in the log", lambda: line in other.log.read_text())
        assert "roomId" not in other.log.read_text()
        assert person.post(f"{BASE}/api/failed/payload", json={"id": "none"}).status_code == 409
        assert person.post(f"{BASE}/api/failed/payload", json={"id": 7}).status_code == 422
        csrf = {"X-CSRF-Token": "x"}
        answer = person.post(f"{BASE}/api/failed/payload", json={"id": job}, headers=csrf)
        assert answer.status_code == 403


def test_half_a_character_in_a_failed_job_spoils_no_list(served: Served) -> None:
    payload = json.dumps({"uuid": "\ud800", "displayName": "Half\udfff", "job": "x", "data": {}})
    insert = (
        "insert into failed_jobs (uuid, connection, queue, payload, exception, failed_at)"
        " values ('half', 'database', 'default', ?, 'x', '2026-01-01 00:00:00')"
    )
    with contextlib.closing(sqlite3.connect(served.app.database, timeout=30)) as database, database:
        database.execute(insert, (payload,))
    answer = served.logged_in().get(f"{BASE}/api/failed", params={"search": "half"})
    assert [row["id"] for row in answer.json()["rows"]] == ["half"]


@pytest.mark.parametrize("name", ["half \ud800 a character", "NUL \0"])
def test_what_utf_8_and_stores_cannot_take_breaks_no_page_no_history_and_no_stop(
    tmp_path: Path, name: str
) -> None:
    """In names of jobs and in what clients send."""
    with serving(tmp_path) as served:
        command = [sys.executable, "-m", "bridge", "statistics", "create", "--app", str(served.app.path)]
        subprocess.run(command, env=environment(), check=True, capture_output=True)
        person = served.logged_in()
        document = json.loads(recorded()["channel-private-concat"].payload)
        document |= {"displayName": name, "uuid": name, "tags": [name]}
        document["data"]["command"] = 'O:3:"bad'
        served.queue(json.dumps(document))
        address = served.address.replace("http", "ws")
        with connect(f"{address}/app/{served.app.key}", open_timeout=PATIENCE, ping_interval=None) as client:
            socket_id = json.loads(json.loads(client.recv())["data"])["socket_id"]
            shown = json.dumps({"user_id": name, "user_info": {"name": name}})
            text = subscription_text(socket_id, "presence-x", shown)
            auth = f"{served.app.key}:{sign(served.app.secret.reveal(), text)}"
            data = {"channel": "presence-x", "auth": auth, "channel_data": shown}
            client.send(json.dumps({"event": "pusher:subscribe", "data": data}))
            client.send(json.dumps({"event": f"client-{name}", "channel": "presence-x", "data": name}))
            client.send(json.dumps({"event": "pusher:subscribe", "data": {"channel": name}}))
            client.send(json.dumps({"event": name, "channel": name, "data": name}))
            client.send(json.dumps({"event": "pusher:ping"}))
            until("all is read", lambda: "pusher:pong" in str(client.recv()))
            until("the job is counted", lambda: person.get(f"{BASE}/api/job-history").json()["rows"] or False)
            for asked in LOOKING:
                if asked != "feed":
                    assert person.get(f"{BASE}/api/{asked}").status_code in (200, 404), asked
            with person.stream("GET", f"{BASE}/api/feed") as answer:
                line = next(line for line in answer.iter_lines() if line.startswith("data: "))
            assert json.loads(line[6:])["rows"]
        served.process.terminate()
        assert served.process.wait(PATIENCE) == 0
        (kept,) = served.rows("select sum(failed_count + released_count) from bridge_job_history")
        assert kept[0]


def test_the_feed_begins_with_what_was_and_goes_on_with_what_happens(served: Served) -> None:
    person = served.logged_in()
    with person.stream("GET", f"{BASE}/api/feed") as answer:
        frames = (json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: "))
        first = next(frames)
        assert {"rows", "points", "summary"} <= set(first)
        served.client().get("/apps/demo/channels")  # unsigned
        seen = next(row for frame in frames for row in frame.get("rows", ()) if row["kind"] == "api")
        assert (seen["text"], seen["code"], seen["tone"]) == ("GET /channels", 401, "bad")
        point = next(point for frame in frames for point in frame.get("points", ()))
        assert {"connections", "sent", "calls", "depth", "median"} <= set(point)


# ---- laravel-websockets' own addresses -----------------------------------------------------------


def test_auth_signs_any_channel_for_the_app_in_the_header(served: Served) -> None:
    person = served.logged_in()
    fields = {"socket_id": "1.2", "channel_name": "private-x"}
    answer = person.post(f"{BASE}/auth", data=fields, headers={"X-App-ID": "demo"}).json()
    secret = served.app.secret.reveal()
    assert answer == {"auth": f"{served.app.key}:{sign(secret, subscription_text('1.2', 'private-x', None))}"}
    fields = {"socket_id": "1.2", "channel_name": "presence-x"}
    answer = person.post(f"{BASE}/auth", json=fields, headers={"X-App-ID": "demo"}).json()
    text = subscription_text("1.2", "presence-x", answer["channel_data"])
    assert answer["auth"] == f"{served.app.key}:{sign(secret, text)}"
    assert person.post(f"{BASE}/auth", json=fields).status_code == 404


@pytest.mark.parametrize(
    ("socket_id", "channel"),
    [
        ("bridge-dashboard", "9999999999:mine:do"),  # a link
        ("1.2", ":user::{}"),  # a sign-in
        ("POST\n/apps/demo/events\nauth_key=k&x=1", "2"),  # a request to the API
        ("1.2", "private-x:{}"),  # data that are not the dashboard's own
        ("1.2\n", "private-x"),
        ("1.2", "private-" + "x" * 200),
    ],
)
def test_auth_signs_nothing_but_subscriptions(served: Served, socket_id: str, channel: str) -> None:
    fields = {"socket_id": socket_id, "channel_name": channel}
    answer = served.logged_in().post(f"{BASE}/auth", json=fields, headers={"X-App-ID": "demo"})
    assert (answer.status_code, answer.text) == (422, "socket_id or channel_name has another form")


def test_statistics_are_taken_from_whom_knows_the_secret_and_answered_as_the_old_page_reads_them(
    served: Served,
) -> None:
    client = served.client()
    row = {
        "app_id": "demo",
        "peak_connection_count": 3,
        "websocket_message_count": "14",
        "api_message_count": 5,
    }
    secret = served.app.secret.reveal()
    assert client.post(f"{BASE}/statistics", json={**row, "secret": "x"}).status_code == 403
    assert (
        client.post(
            f"{BASE}/statistics", json={**row, "secret": secret, "api_message_count": "x"}
        ).status_code
        == 422
    )
    endless = {**row, "secret": secret, "api_message_count": float("inf")}
    assert client.post(f"{BASE}/statistics", content=json.dumps(endless)).status_code == 422
    assert client.post(f"{BASE}/statistics", data={**row, "secret": secret}).text == "ok"
    answer = served.logged_in().get(f"{BASE}/api/demo/statistics").json()
    assert set(answer) == {"peak_connections", "websocket_message_count", "api_message_count"}
    assert answer["websocket_message_count"]["y"] == [14]
    assert len(answer["peak_connections"]["x"]) == 1
    assert served.logged_in().get(f"{BASE}/api/nobody/statistics").status_code == 404


def test_history_is_charted_from_the_apps_table_and_outlives_a_restart(tmp_path: Path) -> None:
    asked = {"app": "demo", "range": "1h"}
    (first := tmp_path / "first").mkdir()
    with serving(first, statistics_interval="7", create_statistics_table="true") as served:
        person = served.logged_in()
        path = served.app.database
        with subscribed(served, "counted"):
            until("a row is written", lambda: person.get(f"{BASE}/api/history", params=asked).json()["spans"])
        assert person.get(f"{BASE}/api/history", params={"app": "nobody"}).status_code == 404
        other = person.get(f"{BASE}/api/history", params={"app": "demo", "range": "\ud7ff"}).json()
        assert other["width"] == 1_800, "an unknown range is a day"

    def put_back(folder: Path) -> None:
        with contextlib.closing(sqlite3.connect(path)) as old:
            [create] = old.execute(
                "select sql from sqlite_master where name = 'websockets_statistics_entries'"
            ).fetchone()
            rows = old.execute("select * from websockets_statistics_entries").fetchall()
        with contextlib.closing(sqlite3.connect(folder / "database.sqlite")) as new, new:
            new.execute(create)
            new.executemany("insert into websockets_statistics_entries values (?, ?, ?, ?, ?, ?, ?)", rows)

    (second := tmp_path / "second").mkdir()
    with serving(second, put_back) as served:
        found = served.logged_in().get(f"{BASE}/api/history", params=asked).json()
        assert found["problem"] == ""
        assert max(peak for _, peak, _, _ in found["spans"]) == 1
        assert all(found["start"] <= at < found["end"] for at, *_ in found["spans"])


def test_without_a_table_history_says_what_to_do(tmp_path: Path) -> None:
    with serving(tmp_path, create_statistics_table="false") as served:
        found = served.logged_in().get(f"{BASE}/api/history", params={"app": "demo"}).json()
        assert (found["spans"], "BRIDGE_CREATE_STATISTICS_TABLE=true" in found["problem"]) == ([], True)


# ---- webhooks and apps ---------------------------------------------------------------------------


def test_requests_to_webhooks_and_everything_else_are_shown_of_one_app_or_of_all(tmp_path: Path) -> None:
    apps = json.dumps([{"id": "second", "key": "second-key", "secret": "second-secret"}])
    with receiving() as receiver:
        receiver.answers = [500]
        hooks = json.dumps([{"url": f"{receiver.url}secret-path"}])
        with serving(tmp_path, apps=apps, webhooks=hooks) as served:
            person = served.logged_in()
            with subscribed(served, "of-the-first"):
                until("it is taken", lambda: len(person.get(f"{BASE}/api/webhooks").json()["rows"]) == 2)
                taken, refused = person.get(f"{BASE}/api/webhooks").json()["rows"]
                assert (refused["outcome"], refused["answer"], refused["number"]) == (
                    "again",
                    "answered 500",
                    1,
                )
                assert (taken["outcome"], taken["number"], taken["app"]) == ("taken", 2, "demo")
                assert taken["events"] == {"channel_occupied": 1}
                assert "secret-path" not in json.dumps([taken, refused])
                for path in ("webhooks", "channels", "connections"):
                    found = [
                        person.get(f"{BASE}/api/{path}", params={"app": app}).json()["total"]
                        for app in ("", "demo", "second")
                    ]
                    assert (found[0], found[2]) == (found[1], 0), path
                    assert found[0] > 0
                assert person.get(f"{BASE}/api/webhooks", params={"search": "500"}).json()["total"] == 1
            job = served.queue_sample()
            until("it is known", lambda: person.get(f"{BASE}/api/traces", params={"search": job}).json())
            until("it is gone", lambda: served.rows("select count(*) from jobs") == [(0,)])
            shown = [
                len(person.get(f"{BASE}/api/traces", params={"search": job, "app": app}).json())
                for app in ("demo", "second")
            ]
            assert shown == [1, 0]


# ---- jobs ----------------------------------------------------------------------------------------


def bridge(app: Path, *words: str) -> str:
    command = [sys.executable, "-m", "bridge", *words, "--app", str(app)]
    run = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=120, check=True)
    return run.stdout


def test_the_history_of_jobs_outlives_a_restart_in_a_table_of_bridges_own(tmp_path: Path) -> None:
    refused = "App\\Events\\NobodyKnows"

    def counted(person: httpx.Client, **asked: str) -> Any:
        found = person.get(f"{BASE}/api/job-history", params=asked).json()
        return found, {row["event"]: row for row in found["rows"]}

    (first := tmp_path / "first").mkdir()
    with serving(first, lambda app: bridge(app, "statistics", "create")) as served:
        person = served.logged_in()
        served.queue_sample()
        served.queue_refused(refused)
        until("both have ended", lambda: len(counted(person)[1]) == 2)
        found, rows = counted(person)
        event = next(name for name in rows if name != refused)
        assert found["keeps"]
        assert (rows[event]["done"], rows[event]["failed"], rows[refused]["failed"]) == (1, 0, 1)
        assert list(rows[refused]["rungs"]) == ["none"]
        assert 0 < rows[event]["run"][0] <= rows[event]["run"][1] < 60
        found, _ = counted(person, event=refused, queue="default", range="24h")
        assert [span[1:3] for span in found["spans"]] == [[0, 1]]
        served.process.terminate()
        assert served.process.wait(timeout=60) == 0
        assert "was there already" in bridge(served.app.path, "statistics", "create")
        kept = served.rows("select * from bridge_job_history")
        path = served.app.path

    (second := tmp_path / "second").mkdir()

    def put_back(app: Path) -> None:
        bridge(app, "statistics", "create")
        with contextlib.closing(sqlite3.connect(app / "database.sqlite")) as new, new:
            marks = ", ".join("?" * len(kept[0]))
            new.executemany(f"insert into bridge_job_history values ({marks})", kept)

    assert path.exists()
    with serving(second, put_back) as served:
        _, rows = counted(served.logged_in(), range="30d")
        assert (rows[event]["done"], rows[refused]["failed"]) == (1, 1)


def test_what_lies_in_a_paused_queue_is_listed_and_goes_on_when_it_continues(tmp_path: Path) -> None:
    with serving(tmp_path, cache_in_files) as served:
        person = served.logged_in()
        assert person.get(f"{BASE}/api/queued").json()["paused"] == []
        assert person.post(f"{BASE}/api/queues/pause", json={"queue": "default"}).status_code == 200
        assert person.get(f"{BASE}/api/queued").json()["paused"] == ["default"]
        until("the worker knows", lambda: "queues are paused" in served.log.read_text())
        job = served.queue_sample()
        other = served.queue_refused("App\\Events\\NobodyKnows")
        found = person.get(f"{BASE}/api/queued", params={"search": job}).json()
        assert ([row["uuid"] for row in found["rows"]], found["states"]["waiting"]) == ([job], 2)
        found = person.get(f"{BASE}/api/queued", params={"search": "nobodyk", "state": "waiting"}).json()
        assert [row["uuid"] for row in found["rows"]] == [other]
        assert person.get(f"{BASE}/api/queued", params={"state": "delayed"}).json()["rows"] == []
        assert person.post(f"{BASE}/api/queues/continue", json={"queue": "default"}).status_code == 200
        until("the queue is empty", lambda: served.rows("select count(*) from jobs") == [(0,)])
        lines = (
            'dashboard: queue paused address="127.0.0.1" queue="default"',
            "dashboard: queue continued",
        )
        until("both are in the log", lambda: all(line in served.log.read_text() for line in lines))
        for fields, status in (({"queue": "another"}, 409), ({"queue": 1}, 422), ({}, 422)):
            assert person.post(f"{BASE}/api/queues/pause", json=fields).status_code == status


# ---- metrics -------------------------------------------------------------------------------------


def test_metrics_are_for_this_machine_and_for_whom_bears_the_token(tmp_path: Path) -> None:
    with serving(tmp_path, metrics_token="of-metrics") as served:
        client = served.client()
        job = served.queue_sample()
        text = until("the job is counted", lambda: _counted(client))
        assert 'bridge_jobs_total{step="delivered"} 1.0' in text
        assert 'bridge_queue_jobs{queue="default",state="pending"}' in text
        assert job not in text
        for told in (
            {"Host": "ws.example.com"},
            {"Host": "bridge"},
            {"Via": "1.1 x"},
            {"Host": "[::1"},
            {"Host": "x@127.0.0.1"},
        ):
            assert client.get("/metrics", headers=told).status_code in (400, 403), told
        assert "403" in bare_nginx(served.address)
        assert client.get("/metrics", headers={"Host": "localhost:9"}).status_code == 200
        proxied = {"X-Forwarded-For": "203.0.113.7"}
        assert client.get("/metrics", headers=proxied).status_code == 403
        assert client.get("/metrics", headers={**proxied, "Authorization": "Bearer x"}).status_code == 403
        assert (
            client.get("/metrics", headers={**proxied, "Authorization": "Bearer of-metrics"}).status_code
            == 200
        )


def bare_nginx(address: str) -> str:
    """The first line of the answer to what `proxy_pass` alone sends: HTTP/1.0, and nothing of the client."""
    url = httpx.URL(address)
    with socket.create_connection((url.host, url.port or 0), timeout=PATIENCE) as proxy:
        proxy.sendall(
            f"GET /metrics HTTP/1.0\r\nHost: {url.netloc.decode()}\r\nConnection: close\r\n\r\n".encode()
        )
        return proxy.makefile().readline()


def _counted(client: httpx.Client) -> str:
    text = client.get("/metrics").text
    is_there = "bridge_queue_jobs{" in text and 'bridge_jobs_total{step="delivered"} 1.0' in text
    return text if is_there else ""


def test_a_scrape_is_a_look_at_the_queue_and_waits_are_counted_from_when_a_job_was_due(
    tmp_path: Path,
) -> None:
    insert = (
        "insert into jobs (queue, payload, attempts, available_at, created_at) values ('default', ?, 0, ?, ?)"
    )
    other = json.dumps({"job": "Other@handle", "displayName": "Other", "data": {}})  # nobody here runs it
    with serving(tmp_path) as served:
        client = served.client()

        def numbers() -> dict[str, float]:
            lines = client.get("/metrics").text.splitlines()
            named = (line.rpartition(" ") for line in lines if not line.startswith("#"))
            return {name: float(value) for name, _, value in named}

        pending = 'bridge_queue_jobs{queue="default",state="pending"}'
        oldest = 'bridge_queue_oldest_seconds{queue="default"}'
        assert (numbers()[pending], oldest in numbers()) == (0, False)
        due = int(time.time()) - 1_000
        with contextlib.closing(sqlite3.connect(served.app.database, timeout=30)) as database:
            with database:
                database.execute(insert, (other, due, due))
            seen = numbers()
            assert (seen[pending], seen[oldest] >= 1_000) == (1, True)
            with database:
                database.execute("delete from jobs")
            assert (numbers()[pending], oldest in numbers()) == (0, False)
            sample = json.loads(recorded()[SAMPLES[0].case].payload)
            sample.pop("createdAt", None)  # before Laravel 12 no payload tells it
            with database:
                database.execute(insert, (json.dumps(sample), due, due))
        until("it was reserved", lambda: numbers()["bridge_job_wait_seconds_count"] == 1)
        assert numbers()["bridge_job_wait_seconds_sum"] >= 1_000


def test_with_other_addresses_this_machine_needs_the_token(tmp_path: Path) -> None:
    with serving(tmp_path, metrics_addresses="10.9.9.9") as served:
        assert served.client().get("/metrics").status_code == 403


def test_this_machine_is_known_by_ipv4_on_a_port_of_both_kinds_as_systemds_is(tmp_path: Path) -> None:
    with serving(tmp_path, host="::") as served:
        port = httpx.URL(served.address).port
        for host in ("127.0.0.1", "[::1]"):
            answer = served.client().get(f"http://{host}:{port}/metrics")
            assert answer.status_code == 200, (host, answer.text)


# ---- a client ------------------------------------------------------------------------------------


@contextlib.contextmanager
def subscribed(served: Served, *channels: str) -> Iterator[ClientConnection]:
    """A bare client that the server has confirmed on every channel."""
    url = f"{served.address.replace('http', 'ws')}/app/{served.app.key}?protocol=7"
    with connect(url, open_timeout=PATIENCE, ping_interval=None) as client:
        socket_id = json.loads(json.loads(client.recv(timeout=PATIENCE))["data"])["socket_id"]
        for channel in channels:
            member = json.dumps({"user_id": "7", "user_info": {"name": "Zoë"}})
            more = {"channel_data": member} if channel.startswith("presence-") else {}
            text = subscription_text(socket_id, channel, more.get("channel_data"))
            auth = f"{served.app.key}:{sign(served.app.secret.reveal(), text)}"
            data = {"channel": channel, "auth": auth, **more}
            client.send(json.dumps({"event": "pusher:subscribe", "data": data}))
        waiting = set(channels)
        misses = {channel for channel in channels if channel.startswith("cache-")}
        while waiting or misses:
            message = json.loads(client.recv(timeout=PATIENCE))
            if message["event"] == "pusher_internal:subscription_succeeded":
                waiting.remove(message["channel"])
            elif message["event"] == "pusher:cache_miss":
                misses.remove(message["channel"])
        yield client


@pytest.mark.parametrize("name", ["a" * 5_000 + ".css", "..%2fsession.py", "page.html", "%00.css", "none.js"])
def test_a_file_that_is_not_the_pages_own_is_not_there(served: Served, name: str) -> None:
    assert served.client().get(f"{BASE}/static/{name}").status_code == 404


def test_data_that_are_nested_too_deep_are_refused_in_these_words(served: Served) -> None:
    fields = {"appId": "demo", "channel": "c", "event": "e", "data": "[" * 9_000}
    answer = served.logged_in().post(f"{BASE}/event", json=fields)
    assert (answer.status_code, answer.text) == (422, "the data are nested too deep")
