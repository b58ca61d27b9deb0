"""How what prompts share is said: in the plural of groups, and in the languages of reports."""

import pytest

from loadcell.prefix import Prefix
from loadcell.report.view.cache import prefix_words
from loadcell.report.words import words_for


@pytest.mark.parametrize(
    ("prefix", "lang", "says"),
    [
        (Prefix(groups=1, tokens="50"), "en", ["all share 50 tokens"]),
        (Prefix(hit_share=0.3), "en", ["all share 30 % of the input"]),
        (Prefix(hit_share=0.3), "es", ["todos comparten 30 % de la entrada"]),
        (Prefix(groups=3, tokens="50", zipf=1.5), "en", ["3 groups that share 50 tokens", "drawn by 1/k^1.5"]),
        (
            Prefix(system_tokens=40, groups=3, hit_share=0.3),
            "es",
            ["un prompt de sistema de 40 tokens", "3 grupos que comparten 30 % de la entrada"],
        ),
    ],
)
def test_what_prompts_share_is_said(prefix: Prefix, lang: str, says: list[str]) -> None:
    assert list(prefix_words(prefix, words_for(lang))) == says
