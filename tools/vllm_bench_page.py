"""docs/vllm-bench.md: which flags of `vllm bench serve` ours takes, of the table that takes them."""

from __future__ import annotations

from loadcell.interop import vllm_flags

_HEAD = """\
# In place of `vllm bench serve`

`loadcell vllm-bench` takes the flags of `vllm bench serve` {version} (in 0.32.0 they are the same), prints its table
and writes its result file, so that a script changes one word:

```
vllm bench serve      --model m --dataset-name random --random-input-len 512 --request-rate 5 --save-result
loadcell vllm-bench serve --model m --dataset-name random --random-input-len 512 --request-rate 5 --save-result
```

The load is one of `loadcell run`: recorded, judged, and reported again with `loadcell report`. The verdict goes to
stderr. The exit code is 0 where vLLM's is, but 1 if no request succeeded; with `--strict` 3 for SUSPECT and 4 for
INVALID. Besides there are `--output DIR` for the recording and `--shared-host`.

What a flag cannot mean here is refused by its name, before any load; none is ignored. Names may have underscores, as
vLLM's own may.

## Where it differs

- Figures of the file are those of [`loadcell export --format vllm`](export.md): by vLLM's definitions, but a failed
  request is one, also where vLLM does not notice.
- Arrivals: vLLM scales the gaps it drew so that the last request comes exactly at N/rate, here they stay as drawn.
  Both hold them against the clock.
- Without a rate and `--max-concurrency` all requests are sent at once, each over a connection of its own.
- Before the load a probe is always sent, which `--ready-check-timeout-sec` asks vLLM for.
- Nothing is sent again, on no route, and nothing ends the run early. A request may take 6 hours, as in vLLM.
- Random prompts are of other words than vLLM's, as long as was asked by the server's own count where it tells that;
  seeds give other draws. The tokens of `--random-prefix-len` are the system's message on chat.
- Bodies hold `max_tokens`, and neither vLLM's `repetition_penalty: 1.0` nor its null fields.
- `sharegpt` and `custom` files: rows are shuffled by the seed, pruned and taken as vLLM does, and kept beside the
  recording (`DIR.prompts.jsonl`); a file with too few is refused where vLLM would draw some twice. Lengths of
  ShareGPT go by `--tokenizer`, else by the packaged one. On chat the server renders the template, once.
- `date` is the end of the run in UTC. `tokenizer_id` is the tokenizer that prompts were made with.
- `--goodput` counts from the send in the file, as vLLM does; our own result judges the same limits from the planned
  time.

## Flags

| flag | default | here |
|---|---|---|
{taken}

Noted, for it changes nothing:

{noted}

Refused:

| flags | why, and what there is |
|---|---|
{refused}

Written by `tools/make_docs.py` from `loadcell/interop/vllm_flags.py`; `tests/interop/test_vllm_flags.py` holds it
against the flags of the tool.
"""


def page() -> str:
    """docs/vllm-bench.md."""
    taken = [
        f"| `{flag}` | {'' if one.default is None else f'`{one.default}`'} | {one.becomes} |"
        for flag, one in sorted(vllm_flags.TAKEN.items())
    ]
    noted = [f"- `{flag}`: {why}." for flag, (why, _) in vllm_flags.NOTED.items()]
    refused = [
        f"| {' '.join(f'`{word}`' for word in words.split())} | {why} |" for why, words in vllm_flags.REFUSED.items()
    ]
    return _HEAD.format(
        version=vllm_flags.VERSION, taken="\n".join(taken), noted="\n".join(noted), refused="\n".join(refused)
    )
