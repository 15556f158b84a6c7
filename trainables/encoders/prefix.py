"""A text that stands before every row, as encoders want it that were trained with one (`query: ` of
E5).

The prefix becomes a part of the tokenizer, like its special tokens. So it stands in every sequence
once, before the first segment; it counts for `max_length`; it is never masked, tagged or an answer;
it changes the tokenizer's digest, and with it the keys of phases; and an exported tokenizer has it.
"""

from tokenizers.processors import BertProcessing, PostProcessor, TemplateProcessing
from transformers import PreTrainedTokenizerFast

from spaces.refusal import Refusal

TOKEN = "token"
PROBES = ("a", "Wort", "слово", "字")  # texts of four scripts


def add_prefix(tokenizer: PreTrainedTokenizerFast, prefix: str) -> None:
    """Make `prefix` a part of the tokenizer; an empty one changes nothing.

    Raises Refusal where the tokenizer would split a text after the prefix otherwise than alone, and
    for one whose special tokens are not added by a template.
    """
    if not prefix:
        return
    ids = _ids(tokenizer, prefix.rstrip())
    for probe in PROBES:
        if not ids or _ids(tokenizer, prefix + probe) != [*ids, *_ids(tokenizer, probe)]:
            raise Refusal(
                f"text_prefix {prefix!r}: this encoder's tokenizer splits a text after it "
                "otherwise than alone; leave text_prefix out, and write the prefix into the rows"
            )
    backend = tokenizer.backend_tokenizer
    if not isinstance(backend.post_processor, TemplateProcessing | BertProcessing):
        raise Refusal(
            f"text_prefix {prefix!r}: this encoder's tokenizer adds its special tokens by "
            f"{type(backend.post_processor).__name__}, where a template is expected; leave "
            "text_prefix out, and write the prefix into the rows"
        )
    backend.post_processor = _template_with(tokenizer, ids)


def _template_with(tokenizer: PreTrainedTokenizerFast, prefix: list[int]) -> PostProcessor:
    """The tokenizer's own template with these tokens before the first segment."""
    return template_of(tokenizer, _pieces(tokenizer, 1, prefix), _pieces(tokenizer, 2, prefix))


def template_of(
    tokenizer: PreTrainedTokenizerFast, single: list[str], pair: list[str]
) -> PostProcessor:
    """A template of pieces for one text and for two: `$A:TYPE`, `$B:TYPE`, and `TOKEN` with the id
    of a token, as in `token5:0`."""
    names = {piece.partition(":")[0] for piece in (*single, *pair) if piece[0] != "$"}
    ids = {name: int(name.removeprefix(TOKEN)) for name in sorted(names)}
    return TemplateProcessing(
        single=single,
        pair=pair,
        special_tokens=[
            {"id": name, "ids": [id_], "tokens": [tokenizer.convert_ids_to_tokens(id_)]}
            for name, id_ in ids.items()
        ],
    )


def _pieces(tokenizer: PreTrainedTokenizerFast, num_texts: int, prefix: list[int]) -> list[str]:
    """The pieces of a template, `NAME:TYPE` each, read from encoded words: `$A` and `$B` are the
    segments. A token's name holds its id, because a token may have a colon, which ends a name."""
    encoded = tokenizer(*["a"] * num_texts, return_token_type_ids=True)
    pieces: list[str] = []
    for id_, kind, segment in zip(
        encoded["input_ids"], encoded["token_type_ids"], encoded.sequence_ids(0), strict=True
    ):
        if segment is None:
            pieces.append(f"{TOKEN}{id_}:{kind}")
        elif f"${'AB'[segment]}:{kind}" not in pieces:
            before = prefix if segment == 0 else []
            pieces += [f"{TOKEN}{id_}:{kind}" for id_ in before]
            pieces.append(f"${'AB'[segment]}:{kind}")
    return pieces


def _ids(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids
