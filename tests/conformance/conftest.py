from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trustme
from contract_runs import Ran, Run, run_once
from difficult import TOKENS, Said, measure
from known import Witness, sse, tokens
from scripted import DONE, LAST_CHUNK, Scripted, delta, event, serve, usage_event
from stream_kinds import ALL
from surroundings import forked_workers, one_tokenizer, plain_environment  # noqa: F401

from loadcell.compiled import CHOICE


@pytest.fixture(autouse=True)
def _processes(processes: None) -> None:
    """All of this folder: see tests/conftest.py."""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a load against a URL: `run(url, requests=4, concurrency=2, ...)`."""
    count = iter(range(1000))
    return lambda url, **fields: run_once(url, tmp_path / f"run{next(count)}", **fields)


@pytest.fixture(scope="session")
def chat(alone: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Said]:
    """What is said of each difficult stream of the chat API."""
    return measure("chat", tmp_path_factory.mktemp("chat") / "run")


@pytest.fixture(scope="session")
def completions(alone: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Said]:
    """The same for the completions API."""
    return measure("completions", tmp_path_factory.mktemp("completions") / "run")


@pytest.fixture(scope="session")
def python(alone: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Said]:
    """Those of the chat API once more, by the core's form in Python."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CHOICE, "no")
        return measure("chat", tmp_path_factory.mktemp("python") / "run")


@pytest.fixture(scope="session")
def tls(alone: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Said]:
    """And over TLS."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    folder = tmp_path_factory.mktemp("tls")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    return measure("chat", folder / "run", context=context, ca_file=str(folder / "ca.pem"))


@pytest.fixture(scope="session")
def kinds(processes: None, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Said]:
    """What is said of each stream of `stream_kinds`, by API and name; each Result is made when it is asked for."""
    return {
        (api, name): said
        for api in ("chat", "completions")
        for name, said in measure(
            api, tmp_path_factory.mktemp(f"kinds_{api}") / "run", ALL, output_tokens=TOKENS, ignore_eos=False
        ).items()
    }


@pytest.fixture(scope="session")
def kept(alone: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Scripted, Witness, Ran]:
    """48 requests of 12 users, 60 tokens each; the body of each reply ends 20 ms after its `[DONE]`."""
    witness = Witness()
    end = event(delta(finish="stop")) + event(usage_event(60)) + DONE
    steps = [*sse(*tokens(60, 0.01, 0.001), end)[:-1], 0.02, LAST_CHUNK]
    with serve(witness(lambda _: steps)) as server:
        folder = tmp_path_factory.mktemp("kept") / "run"
        ran = run_once(server.url, folder, requests=48, concurrency=12, output_tokens=60)
    return server, witness, ran
