"""Write the words of synthetic prompts that the packaged tokenizer has: python tools/make_words.py"""

from pathlib import Path

from loadcell import workload
from loadcell.workload.prompts import PACKAGED_WORDS, find_words
from loadcell.workload.tokenizer import PACKAGED, load_tokenizer

if __name__ == "__main__":
    file = Path(workload.__file__).parent / "data" / PACKAGED_WORDS
    file.write_text("\n".join(find_words(load_tokenizer(PACKAGED))) + "\n", encoding="ascii")
