"""How a run was done and how to do it again, for its page."""

from __future__ import annotations

import shlex
from typing import Any

from loadcell.metrics import Result
from loadcell.report.page.figures import count
from loadcell.report.text import MISSING
from loadcell.report.words import Words

Rows = list[tuple[str, str]]


def command_of(result: Result) -> str | None:
    """The command line that made the recording; None where it is not known or cannot be shown to be copied."""
    typed = result.methodology.environment.get("command")
    if not isinstance(typed, list) or not typed or not all(isinstance(word, str) for word in typed):
        return None
    return typed_command(*typed)


def typed_command(*words: str) -> str | None:
    """A command to copy, quoted for a shell; None if it holds what no person would see (control characters)."""
    return shlex.join(words) if all(word.isprintable() for word in words) and sum(map(len, words)) < 4000 else None


def settings(tree: dict[str, Any], words: Words) -> Rows:
    """The leaves of a tree of settings by their dotted path."""
    rows: Rows = []
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            rows += [(f"{name}.{path}", text) for path, text in settings(value, words)]
        else:
            rows.append((name, setting(value, words)))
    return rows


def setting(value: Any, words: Words) -> str:
    """A setting as text; a dash where it was left out."""
    if value is None or value == {} or value == [] or value == "":
        return "\N{EN DASH}"
    if isinstance(value, bool):
        return words.say("yes") if value else words.say("no")
    if isinstance(value, list):
        return " ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def identity_rows(result: Result, words: Words) -> Rows:
    """Which run this is: what pins it down."""
    run, method = result.run, result.methodology
    return [
        (words.say("Run"), run.id),
        (words.say("Started"), run.started_at),
        (words.say("Lasted"), f"{words.figure(run.duration_s)} s"),
        (words.say("Seed"), str(method.seed)),
        (words.say("Salt"), method.effective.get("salt") or MISSING),
        (words.say("Schedule"), method.schedule_hash),
        (words.say("Bodies"), method.bodies_hash or MISSING),
        (words.say("Methodology"), method.fingerprint),
        (words.say("Recorded by"), f"loadcell {run.loadcell}"),
        (words.say("Computed by"), f"loadcell {result.loadcell}"),
    ]


def method_rows(result: Result, words: Words) -> Rows:
    """How the figures came to be; sentences of the Result are said in the page's language."""
    method = result.methodology
    window = method.window
    span = words.say("{a} to {b} s", a=words.figure(window.start_s), b=words.figure(window.end_s))
    rows = [
        (words.say("Window"), f"{span}, {words.say(window.reason)}"),
        (words.say("Steady state"), words.say(result.steady.says)),
        (words.say("Requests of the run"), accounts(result, "run", words)),
        (words.say("Requests of the window"), accounts(result, "window", words)),
        (words.say("Requests beyond the end"), beyond(result, words)),
        (words.say("Replies ended by"), ended_by(result, words)),
        (words.say("Percentiles"), words.say(method.percentile)),
        (words.say("Intervals"), words.say(method.interval)),
        (words.say("Output tokens counted by"), _sources(method.token_source, words)),
        (words.say("Prompt tokens counted by"), _sources(method.prompt_token_source, words)),
        (words.say("Tokenizer"), method.tokenizer),
        (words.say("Load processes"), count(method.workers, words)),
    ]
    stopped = result.run.stopped
    if stopped is not None:
        after = words.say("after {s} s", s=words.figure(stopped.at_s, 3))
        left = "; " + words.say("what was in flight was given up") if stopped.cancelled else ""
        rows.insert(1, (words.say("Ended early"), f"{after}: {words.say(stopped.reason)}{left}"))
    return [(label, text) for label, text in rows if text]


def accounts(result: Result, part: str, words: Words) -> str:
    """What became of the planned requests."""
    counts = getattr(result.counts, part)
    return words.say(
        "{planned} planned = {ok} ok + {failed} failed + {cancelled} cancelled + {unsent} unsent",
        **{name: count(getattr(counts, name), words) for name in ("planned", "ok", "failed", "cancelled", "unsent")},
    )


def ended_by(result: Result, words: Words) -> str:
    """Why the ok replies of the window ended, by the server's word."""
    ended = {} if result.replies is None else result.replies.ended_by
    return ", ".join(
        f"{words.say('no reason') if name == 'no reason' else name} {words.percent(one.share)}"
        for name, one in ended.items()
    )


def beyond(result: Result, words: Words) -> str:
    """The requests that kept the load on; nothing where there were none."""
    if not result.counts.beyond:
        return ""
    return words.say(
        "{beyond} more requests kept the load on until the last counted reply; {failed} of them failed",
        beyond=count(result.counts.beyond, words),
        failed=count(result.counts.beyond_failed, words),
    )


def _sources(counts: dict[str, int], words: Words) -> str:
    return ", ".join(f"{words.say(name)} ({count(n, words)})" for name, n in counts.items()) or words.say("none")
