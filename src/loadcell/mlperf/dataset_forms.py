"""Forms of data sets: how published files and our own are read into rows, and rows into samples."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from loadcell.errors import UsageError
from loadcell.packaged import packaged_yaml
from loadcell.workload.rows import Row, Rows

Doc = msgspec.Meta
Api = Literal["chat", "completions"]
ENDINGS = (".jsonl", ".json", ".parquet", ".csv")


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One sample of a data set: what is sent, and what its grader needs."""

    prompt: Annotated[str | None, Doc(description="text that is sent; null where messages are, or nothing can be")] = (
        None
    )
    messages: Annotated[list[dict[str, str]] | None, Doc(description="chat messages that are sent")] = None
    reference: Annotated[str | None, Doc(description="expected answer; alternatives are split by |")] = None
    subset: str | None = None
    grader: Annotated[
        str | None,
        Doc(
            description="rouge, rouge-l, gsm8k, mbxp, choice-d, choice-j, maths, aime, livecodebench, uuid, contains, "
            "wer, hierarchical-f1, bfcl, judge; null: none known"
        ),
    ] = None
    repeats: Annotated[int, Doc(description="how often its question stands in the data set; it counts once")] = 1
    id: str | None = None
    choices: list[str] | None = None
    tests: Annotated[str | None, Doc(description="code that tests the answer, run after it")] = None
    entry_point: Annotated[str | None, Doc(description="name of the function that is asked for")] = None
    language: Annotated[str | None, Doc(description="programming language of the answer")] = None
    max_tokens: Annotated[int | None, Doc(description="output tokens of its own; null: those of the rules")] = None


class Grading(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Samples whose subset (or kind) contains `of` have this grader."""

    of: str
    grader: str
    repeats: int = 1


class Hub(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A public data set at the Hugging Face hub that has the benchmark's samples in their order."""

    benchmarks: list[str]
    repo: str
    files: str


class Form(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is known of the data set of some benchmarks (datasets.yaml)."""

    family: str
    benchmarks: list[str]
    public_name: str
    files: dict[str, list[str]]
    columns: dict[str, list[str]]
    graders: list[Grading]
    fetch: str
    template: str | None = None
    instruction: str | None = None
    id_is: Literal["language_entry_point"] | None = None
    references: dict[str, str] = {}
    api: Api | None = None
    unsendable: str | None = None
    hub: Hub | None = None

    def patterns(self, *, accuracy: bool) -> list[str]:
        """Names that the file may have in a folder, the likeliest first."""
        return self.files.get("accuracy" if accuracy else "performance", []) + self.files.get("any", [])

    def alternatives(self) -> dict[str, list[str]]:
        """Names of columns by what they hold: ours, then those of published files."""
        return {what: ours + self.columns.get(what, []) for what, ours in tables()["columns"].items()}

    def grading(self, kind: str | None) -> Grading | None:
        """The grading of a subset or kind; None if none is known."""
        word = _plain(kind or "")
        return next((each for each in self.graders if each.of == "*" or _plain(each.of) in word), None)


@cache
def tables() -> dict[str, Any]:
    """datasets.yaml as it stands. Shared: not to be changed."""
    tree: dict[str, Any] = packaged_yaml("loadcell.mlperf", "datasets.yaml")
    return tree


@cache
def forms() -> list[Form]:
    """Every form."""
    return msgspec.convert(tables()["forms"], list[Form])


def form_of(benchmark: str) -> Form:
    """The form of a benchmark's data set; UsageError if none is known."""
    for form in forms():
        if benchmark in form.benchmarks:
            return form
    known = ", ".join(name for form in forms() for name in form.benchmarks)
    raise UsageError(f"no data set is known for {benchmark}: there is one for {known}")


def templated(prompt: str) -> bool:
    """Whether a prompt carries a model's own template."""
    return prompt.startswith(tuple(tables()["templated"]))


# --- rows ------------------------------------------------------------------------------------------------------------


def read_rows(path: Path, columns: Mapping[str, list[str]]) -> tuple[Rows, list[tuple[int, Row]]]:
    """The rows of a file that `loadcell.workload` reads, in its order, with their places; UsageError says what is
    wrong with it.

    Of Parquet only the named columns are read: token ids, which such files hold too, take most of their space.
    """
    rows = Rows(path, [name for names in columns.values() for name in names], what="the data set")
    found = list(rows)
    for number, row in found:
        if not isinstance(row, dict):
            raise UsageError(f"{rows.where(number)} must be an object with the columns of a sample")
    if not found:
        raise UsageError(f"{path} holds no samples")
    return rows, found


def _decoded(text: str, where: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise UsageError(f"{where} is not JSON: {error}") from None


# --- samples ---------------------------------------------------------------------------------------------------------


def read_samples(path: Path, form: Form, *, send: bool, grade: bool) -> list[Sample]:
    """The samples of a file in their order.

    With `send` each must have something that can be sent, with `grade` an expected answer; UsageError says what was
    found and what is needed.
    """
    alternatives = form.alternatives()
    places, rows = read_rows(path, alternatives)
    found = dict.fromkeys(name for _, row in rows for name in row)
    columns = {what: next((name for name in names if name in found), None) for what, names in alternatives.items()}
    if send and not any(columns[what] for what in ("messages", "prompt", "text", "formatted")):
        raise UsageError(
            _lacks(path, list(found), alternatives, "text to send", ("prompt", "messages", "text", "formatted"))
        )
    if grade and not columns["reference"]:
        raise UsageError(_lacks(path, list(found), alternatives, "expected answers", ("reference",)))
    return [_sample(row, columns, form, places.where(number), send, grade) for number, row in rows]


def _lacks(path: Path, found: list[str], alternatives: dict[str, list[str]], what: str, keys: tuple[str, ...]) -> str:
    names = [name for key in keys for name in alternatives[key]]
    tokens = any("tok" in name for name in found) and "prompt" in keys
    return f"{path} has no {what}: it needs a column {' or '.join(names)}; found {', '.join(found) or 'no columns'}" + (
        " (token ids cannot be sent to an OpenAI-compatible server: give a file with the texts)" if tokens else ""
    )


def _sample(row: Row, columns: dict[str, str | None], form: Form, where: str, send: bool, grade: bool) -> Sample:
    def value(what: str) -> Any:
        name = columns[what]
        return None if name is None else row.get(name)

    def text(what: str) -> str | None:
        return _text(value(what))

    prompt, messages = _to_send(value, text, form, where) if send else (None, None)
    reference, subset = text("reference"), text("subset")
    if grade and reference is None:
        raise UsageError(f"{where} has no expected answer in its column {columns['reference']}")
    grading = form.grading(text("kind") or subset)
    language, entry_point = text("language"), text("entry_point")
    if form.id_is and entry_point is None and grading and grading.grader == "mbxp":
        language, _, entry_point = (text("id") or "").partition("_")
    max_tokens, choices = value("max_tokens"), value("choices")
    return Sample(
        prompt=prompt,
        messages=messages,
        reference=form.references.get(reference, reference) if reference is not None else None,
        subset=subset,
        grader=grading.grader if grading else None,
        repeats=grading.repeats if grading else 1,
        id=text("id"),
        choices=[str(choice) for choice in choices] if isinstance(choices, list) else None,
        tests=text("tests") or (reference if grading and grading.grader == "mbxp" else None),
        entry_point=entry_point or None,
        language=language or None,
        max_tokens=_count(max_tokens, where) if max_tokens not in (None, "") else None,
    )


def _to_send(value: Any, text: Any, form: Form, where: str) -> tuple[str | None, list[dict[str, str]] | None]:
    """Prompt or messages of a row; UsageError if there is neither."""
    if (messages := value("messages")) is not None:
        return None, _messages(messages, where)
    if prompt := text("prompt"):
        return prompt, None
    if body := text("text"):
        if system := text("system"):
            return None, [{"role": "system", "content": system}, {"role": "user", "content": body}]
        return _filled(body, value("instruction"), form), None
    if formatted := text("formatted"):
        return formatted, None
    raise UsageError(f"{where} has no text to send")


def _filled(body: str, instruction: Any, form: Form) -> str:
    """The text in its template. A file's instruction goes first: as the template if it has {input}, or in ours."""
    if isinstance(instruction, dict):  # Llama's files hold it by name of the model
        instruction = next(iter(instruction.values()), None)
    if isinstance(instruction, str) and "{input}" in instruction:
        return instruction.replace("{input}", body)
    if form.template is None:
        return body
    words = instruction if isinstance(instruction, str) and instruction else form.instruction or ""
    return form.template.replace("{instruction}", words).replace("{text}", body)


def _messages(value: Any, where: str) -> list[dict[str, str]]:
    if isinstance(value, str):
        value = _decoded(value, f"messages of {where}")
    try:
        messages = msgspec.convert(value, list[dict[str, str]])
    except msgspec.ValidationError as error:
        raise UsageError(f"messages of {where}: {error}; write [{{role: user, content: TEXT}}]") from None
    if not messages or any(set(message) != {"role", "content"} for message in messages):
        raise UsageError(f"messages of {where}: each needs a role and a content, and there must be one")
    return messages


def _count(value: Any, where: str) -> int:
    try:
        count = int(value)
    except (TypeError, ValueError):
        count = 0
    if count < 1:
        raise UsageError(f"{where}: max_tokens is {value!r}; it must be a whole number above 0")
    return count


def _text(value: Any) -> str | None:
    """A value as text; None where there is none. Alternatives stand in one text, split by |."""
    if value is None or value == "" or value != value:  # NaN: what pandas writes for nothing
        return None
    if isinstance(value, list):
        return "|".join(map(str, value)) or None
    return value if isinstance(value, str) else str(value)


def _plain(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())
