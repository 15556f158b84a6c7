from pathlib import Path

from transformers import AutoTokenizer

from trainables.pocket.text import pretraining_text
from trainables.pocket.tokenizer import SPECIALS, fast_tokenizer, train_pieces


def test_the_tokenizer_is_like_xlm_rs() -> None:
    text = list(pretraining_text(500, seed=0))
    tokenizer = fast_tokenizer(train_pieces(text, 6000), max_length=128)
    assert tuple(tokenizer.convert_ids_to_tokens(list(range(5)))) == SPECIALS
    assert tokenizer("Monday", "Montag").tokens() == [
        "<s>",
        "▁Monday",
        "</s>",
        "</s>",
        "▁Montag",
        "</s>",
    ]
    assert tokenizer("Monday, 12")["input_ids"] == tokenizer("Monday , 12")["input_ids"]
    assert train_pieces(text, 6000) == tokenizer.backend_tokenizer.to_str()


def test_a_saved_tokenizer_cuts_the_same(tmp_path: Path) -> None:
    tokenizer = fast_tokenizer(
        train_pieces(list(pretraining_text(300, seed=0)), 900), max_length=99
    )
    tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    text = "गुरुवार، 3 يوم und 星期一"
    assert again(text, text)["input_ids"] == tokenizer(text, text)["input_ids"]
    assert again.model_max_length == 99
