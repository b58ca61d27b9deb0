"""What the server answers, to whom, and what it never does."""

from __future__ import annotations

import http.client
import re
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from made_library import edit_manifest, small_run, small_sweep

from loadcell.browse import open_server, serve
from loadcell.browse import server as rooms
from loadcell.browse.guard import host_allowed, policy_of
from loadcell.errors import RecordingError, UsageError

pytestmark = pytest.mark.usefixtures("processes")

Ask = Callable[..., Any]


def test_the_listing_links_to_what_can_be_opened(tmp_path: Path, ask: Ask) -> None:
    small_run(tmp_path / "a b" / "run & co")
    small_run(tmp_path / "bad")
    (tmp_path / "bad" / "recording.json").write_text("{")
    small_sweep(tmp_path / "grid")
    served = ask()
    page = served.get("/")
    assert page.status == 200
    links = re.findall(r'href="(/(?:run|sweep)\?[^"]*)"', page.text)
    assert len(links) == 4  # the run, the sweep and its two stages
    assert served.cells("a%20b/run%20%26%20co")["requests"]["value"] == 30
    assert "is damaged" in page.text
    for link in links:
        assert served.get(link).status in (200, 422, 500)


@pytest.mark.parametrize(
    "id",
    [
        "..", "../secret", "run/..", "run/../../secret", "/etc", "%2e%2e/secret", "..%2fsecret", "run%00", "run\0",
        "./run", "run/", "run//", "", "RUN", "linked", "%252e%252e/secret", "~", "run/recording.json", "run\n",
    ],
)  # fmt: skip
@pytest.mark.parametrize("page", ["/run", "/sweep", "/api/summary"])
def test_nothing_but_what_is_listed_is_ever_opened(tmp_path: Path, ask: Ask, page: str, id: str) -> None:
    secret = small_run(tmp_path / "secret")
    small_run(tmp_path / "root" / "run")
    (tmp_path / "root" / "linked").symlink_to(secret)
    served = ask(tmp_path / "root")
    assert served.get(page, id=id).status == 404
    assert served.raw("GET", f"{page}?id={quote(id, safe='/%.~')}").status == 404


@pytest.mark.parametrize("target", [
    "/../secret/recording.json", "/run/recording.json", "/%2e%2e/secret", "/run", "/run?id=run&id=run", "/run?id=%ff",
    "//evil.example/", "/run?id=" + "a" * 9000, "/api/summary", "/compare", "/compare?a=run",
    "/compare?a=run&b=nothing",
    "/?" + "&".join("x=1" for _ in range(20)), "/favicon.ico", "/api/", "/\\..\\secret", "/run;id=run",
])  # fmt: skip
def test_paths_lead_nowhere(tmp_path: Path, ask: Ask, target: str) -> None:
    small_run(tmp_path / "run")
    reply = ask().raw("GET", target)
    assert reply.status == 404
    assert "Traceback" not in reply.text and str(tmp_path) not in reply.text


def test_a_recording_swapped_for_a_link_after_it_was_listed_is_not_opened(tmp_path: Path, ask: Ask) -> None:
    secret, run = small_run(tmp_path / "secret", n=7), small_run(tmp_path / "root" / "run")
    small_run(tmp_path / "root" / "leaky")
    served = ask(tmp_path / "root")
    run.rename(tmp_path / "root" / ".away")
    run.symlink_to(secret)
    part = tmp_path / "root" / "leaky" / "requests-0-00000.parquet"
    part.unlink()
    part.symlink_to(secret / "requests-0-00000.parquet")
    assert "is a link out of the folder" in served.cells("run")["says"]["text"]
    assert served.cells("leaky")["requests"]["value"] == ""
    assert served.get("/run", id="run").status == served.get("/run", id="leaky").status == 422


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:{port}", "", "[::1]",
     "127.0.0.1:{port}.evil.example", "127.0.0.1:{port}@evil.example", "0.0.0.0:{port}", "127.1:{port}", "[::1:{port}"],
)  # fmt: skip
@pytest.mark.parametrize("page", ["/", "/api/summary?id=run", "/run?id=run", "/nothing"])
def test_another_host_is_refused(tmp_path: Path, ask: Ask, host: str, page: str) -> None:
    small_run(tmp_path / "run")
    served = ask()
    reply = served.raw("GET", page, Host=host.format(port=served.port))
    assert reply.status == 403 and "run" not in reply.text.replace("running", "")


@pytest.mark.parametrize("host", ["localhost:{port}", "LOCALHOST:{port}", "127.0.0.1:{port}", "[::1]:{port}"])
def test_this_machine_is_answered(ask: Ask, host: str) -> None:
    served = ask()
    assert served.raw("GET", "/", Host=host.format(port=served.port)).status == 200


def test_which_hosts_are_names_of_a_server() -> None:
    assert host_allowed("10.0.0.7:80", "10.0.0.7", 80) and host_allowed("10.0.0.7", "10.0.0.7", 80)
    assert not host_allowed("10.0.0.8:80", "10.0.0.7", 80)
    assert host_allowed("10.0.0.8:80", "0.0.0.0", 80) and host_allowed("[fe80::1]:80", "::", 80)
    assert not host_allowed("evil.example:80", "0.0.0.0", 80) and not host_allowed("evil.example:80", "::", 80)
    assert host_allowed(f"{socket.gethostname()}:80", "0.0.0.0", 80)
    assert host_allowed("bench.lan:80", "bench.lan", 80) and host_allowed("[::1]", "::1", 80)


def test_a_request_without_a_host_or_with_two_is_refused(ask: Ask) -> None:
    served = ask()
    assert said(served.port, b"GET / HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.0 403")
    twice = f"GET / HTTP/1.1\r\nHost: {served.host}\r\nHost: evil.example\r\n\r\n".encode()
    assert said(served.port, twice).startswith(b"HTTP/1.0 403")


def said(port: int, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(request)
        received = b""
        while more := connection.recv(65536):
            received += more
        return received


@pytest.mark.parametrize(
    ("page", "site", "mode", "dest", "status"),
    [
        ("/api/summary?id=run", "same-origin", "cors", "empty", 200),
        ("/api/summary?id=run", "none", "navigate", "document", 200),
        ("/api/summary?id=run", "cross-site", "navigate", "document", 403),
        ("/api/summary?id=run", "same-site", "cors", "empty", 403),
        ("/", "cross-site", "no-cors", "image", 403),
        ("/", "same-site", "no-cors", "script", 403),
        ("/", "cross-site", "navigate", "iframe", 403),
        ("/", "cross-site", "navigate", "document", 200),
        ("/", "none", "navigate", "document", 200),
    ],
)
def test_other_sites_get_nothing(
    tmp_path: Path, ask: Ask, page: str, site: str, mode: str, dest: str, status: int
) -> None:
    small_run(tmp_path / "run")
    headers = {"Sec_Fetch_Site": site, "Sec_Fetch_Mode": mode, "Sec_Fetch_Dest": dest}
    assert ask().raw("GET", page, **headers).status == status


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "BREW"])
def test_only_get_and_head_are_answered(tmp_path: Path, ask: Ask, method: str) -> None:
    small_run(tmp_path / "run")
    before = sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*"))
    reply = ask().raw(method, "/run?id=run")
    assert reply.status == 405 and reply.headers["Allow"] == "GET, HEAD"
    assert before == sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*"))


def test_head_is_get_without_its_body(tmp_path: Path, ask: Ask) -> None:
    small_run(tmp_path / "run")
    served = ask()
    for page in ("/", "/api/summary?id=run", "/nothing"):
        get, head = served.raw("GET", page), served.raw("HEAD", page)
        assert head.text == "" and head.status == get.status
        assert int(head.headers["Content-Length"]) == len(get.text.encode())


def test_every_answer_has_the_headers_that_protect_it(tmp_path: Path, ask: Ask) -> None:
    small_run(tmp_path / "run")
    served = ask()
    answers = [
        served.get("/"), served.get("/api/summary", id="run"), served.get("/nothing"), served.raw("POST", "/"),
        served.raw("GET", "/", Host="evil.example"), served.get("/run", id="run"),
    ]  # fmt: skip
    for answer in answers:
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'") and "unsafe-eval" not in policy and "http" not in policy
        assert "script-src 'unsafe-inline'" not in policy
        for name, value in {
            "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin", "Cache-Control": "no-store",
        }.items():  # fmt: skip
            assert answer.headers[name] == value
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_a_page_is_sent_with_the_policy_in_its_head() -> None:
    meta = '<meta http-equiv="Content-Security-Policy" content="{}">'
    own = policy_of("<head>" + meta.format("default-src &#39;none&#39;; script-src 'sha256-x'"))
    assert own == "default-src 'none'; script-src 'sha256-x'; frame-ancestors 'none'"
    late = "<body>" + "x" * 5000 + meta.format("script-src *")  # words of a server, were they not escaped
    assert "script-src" not in policy_of(late)


HOSTILE = "<img src=x onerror=alert(1)>\"'"


def test_hostile_names_stay_text(tmp_path: Path, ask: Ask) -> None:
    for number, name in enumerate((HOSTILE, "a\r\nSet-Cookie: x=1", "\N{RIGHT-TO-LEFT OVERRIDE}gpj.exe")):
        small_run(tmp_path / name, effective={"model": "</script><script>alert(1)</script>"}, id=str(number))
    served = ask()
    page = served.get("/")
    assert page.text.count("<script") == 1 and "<img" not in page.text
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in page.text and "Set-Cookie" not in page.headers
    assert "Set-Cookie" not in served.get("/run", id="x\r\nSet-Cookie: x=1").headers


def test_stuck_clients_hold_nobody_up(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "_HEAD_S", 30.0)
    served = ask()
    stuck = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(40)]
    for connection in stuck:
        connection.sendall(b"GET / HTTP/1.1\r\nHo")
    start = time.monotonic()
    assert served.get("/").status == 200
    assert time.monotonic() - start < rooms._HEAD_S - 1  # not only once they were given up
    for connection in stuck:
        connection.close()


def test_a_byte_now_and_then_buys_no_time(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "_HEAD_S", 0.5)
    with socket.create_connection(("127.0.0.1", ask().port), timeout=0.2) as connection:
        end = time.monotonic() + 20
        closed = False
        while not closed and time.monotonic() < end:
            try:
                connection.sendall(b"x")
                closed = connection.recv(1) == b""
            except TimeoutError:
                continue
            except ConnectionError:
                closed = True
    assert closed


def test_connections_beyond_the_bound_are_hung_up_on_and_come_back(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "_CONNECTIONS", 3)
    monkeypatch.setattr(rooms, "_HEAD_S", 0.5)
    served = ask()
    stuck = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(3)]
    time.sleep(0.2)
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        served.get("/")
    end = time.monotonic() + 10
    status = 0
    while status != 200 and time.monotonic() < end:
        time.sleep(0.1)
        try:
            status = served.get("/").status
        except (http.client.RemoteDisconnected, ConnectionError):
            continue
    assert status == 200
    for connection in stuck:
        connection.close()


@pytest.mark.parametrize(
    "request_bytes",
    [b"\0\1\2\3\r\n\r\n", b"GET /\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\r\n\r\n", b"GET\r\n\r\n",
     b"GET / HTTP/1.1\r\n" + b"A: " + b"x" * 70_000 + b"\r\n\r\n", b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
     b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 150 + b"\r\n", b"GET http://evil.example/ HTTP/1.1\r\nHost: x\r\n\r\n"],
)  # fmt: skip
def test_a_request_that_is_none_gets_no_page(ask: Ask, request_bytes: bytes) -> None:
    served = ask()
    try:
        reply = said(served.port, request_bytes)
    except ConnectionResetError:  # hung up on while it still sent
        reply = b""
    assert b" 200 " not in reply[:30] and b"Traceback" not in reply and b"evil" not in reply
    assert served.get("/").status == 200


def test_many_at_once_are_all_answered(tmp_path: Path, ask: Ask) -> None:
    for number in range(6):
        small_run(tmp_path / f"run-{number}", n=10 + number)
    served = ask()
    found: dict[int, int] = {}

    def one(number: int) -> None:
        found[number] = served.cells(f"run-{number % 6}")["requests"]["value"]

    threads = [threading.Thread(target=one, args=(number,)) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == {number: 10 + number % 6 for number in range(24)}


def test_a_recording_made_while_it_serves_is_found(tmp_path: Path, ask: Ask) -> None:
    served = ask()
    assert "There is no recording here yet" in served.get("/").text
    small_run(tmp_path / "late")
    assert served.cells("late")["requests"]["value"] == 30
    assert 'data-id="late"' in served.get("/").text


def test_what_cannot_be_read_is_said_on_its_page(tmp_path: Path, ask: Ask) -> None:
    newer = small_run(tmp_path / "newer")
    edit_manifest(newer, format=99)
    reply = ask().get("/run", id="newer")
    assert reply.status == 422 and "upgrade loadcell" in reply.text and "Traceback" not in reply.text


def test_two_are_picked_without_scripts_too(tmp_path: Path, ask: Ask) -> None:
    for name in ("one", "two", "three"):
        small_run(tmp_path / name)
    served = ask()
    assert "no more and no less" in served.raw("GET", "/compare?pick=one").text
    assert "no more and no less" in served.raw("GET", "/compare?pick=one&pick=two&pick=three").text
    assert served.raw("GET", "/compare?pick=one&pick=nothing").status == 404


def test_serving_says_where_and_warns_if_others_can_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        rooms.Server, "serve_forever", lambda self, poll_interval: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    lines: list[str] = []
    serve(tmp_path, port=0, ready=lines.append)
    assert len(lines) == 1 and "http://127.0.0.1:" in lines[0] and "Ctrl-C" in lines[0]
    serve(tmp_path, host="0.0.0.0", port=0, ready=lines.append)
    assert "http://localhost:" in lines[1] and "no password" in lines[2]


def test_what_cannot_be_served_says_what_to_do(tmp_path: Path) -> None:
    with open_server(tmp_path, port=0) as first:
        taken = first.server_address[1]
        with pytest.raises(UsageError, match=rf"{taken}.*give --port"):
            open_server(tmp_path, port=taken)
    with pytest.raises(UsageError, match="--host"):
        open_server(tmp_path, host="no.such.host.invalid", port=0)
    with pytest.raises(UsageError, match="no address of this machine"):
        open_server(tmp_path, host="192.0.2.1", port=0)
    with pytest.raises(UsageError, match="--port"):
        open_server(tmp_path, port=99_999)
    with pytest.raises(UsageError, match="--lang"):
        open_server(tmp_path, port=0, lang="xx")
    with pytest.raises(RecordingError, match="there is no folder"):
        open_server(tmp_path / "nothing", port=0)


def test_errors_of_pages_are_one_clean_line(
    tmp_path: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small_run(tmp_path / "run")

    def fail(*args: object, **more: object) -> str:
        raise ZeroDivisionError("evil\x1b[31m\nline")

    monkeypatch.setattr(rooms, "run_report", fail)
    reply = ask().get("/run", id="run")
    assert reply.status == 500 and "ZeroDivisionError" in reply.text and "Traceback" not in reply.text
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "\x1b" not in said


def test_the_listing_counts_and_tells_where_the_load_went(tmp_path: Path, ask: Ask) -> None:
    """A stage is no run; the URL and both lengths stand in the row."""
    url = {"url": "http://10.1.2.3:8000/v1"}
    small_run(tmp_path / "one", endpoint=url)
    for number in (1, 2, 3):
        small_run(tmp_path / "again" / str(number), endpoint=url)
    small_sweep(tmp_path / "grid", (1, 2, 4))
    for name in ("001-A", "002-B"):
        small_run(tmp_path / "duel" / name)
    (tmp_path / "duel" / "duel.json").write_text("{}")
    page = " ".join(ask().get("/").text.split())
    assert "<span>4 runs, 3 stages, 2 turns</span>" in page
    assert page.count("http://10.1.2.3:8000/v1</span>") == 2 and "512 in, uniform:64,192 out</span>" in page
    spanish = " ".join(ask(lang="es").get("/").text.split())
    assert "4 ejecuciones, 3 etapas, 2 turnos" in spanish and "512 de entrada" in spanish


def test_a_duel_has_a_page_or_words_why_not(tmp_path: Path, ask: Ask) -> None:
    small_run(tmp_path / "duel" / "001-A")
    (tmp_path / "duel" / "duel.json").write_text("{}")
    served = ask()
    assert 'href="/duel?id=duel"' in served.get("/").text
    assert served.get("/duel", id="duel").status == 422 and served.get("/run", id="duel").status == 404
    assert served.cells("duel")["requests"]["value"] == 30


def test_without_a_folder_all_that_is_remembered_is_served(
    tmp_path: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    from loadcell.recording.index import remember

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    far = small_run(tmp_path / "far" / "run")
    remember(far)
    served = ask(None)
    assert served.cells(str(far))["requests"]["value"] == 30
    assert served.get("/run", id=str(far)).status == 200
    assert served.get("/run", id=str(tmp_path)).status == 404
    later = small_run(tmp_path / "later")
    remember(later)
    assert str(later) in served.get("/").text
    assert str(far) not in ask(tmp_path / "here").get("/").text, "a folder that is named is all that is shown"
