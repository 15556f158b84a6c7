"""The tokenizer of a pocket encoder, trained on its text."""

from collections.abc import Sequence

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers.trainers import BpeTrainer
from transformers import PreTrainedTokenizerFast

from trainables.examples import TextExample

SPECIALS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")  # as in XLM-R, in the order of their ids
NUM_TOKENIZER_ROWS = 20_000


def train_pieces(text: Sequence[TextExample], max_vocabulary: int) -> str:
    """A BPE tokenizer with XLM-R's special tokens and pair template, as JSON.

    Words, punctuation and numbers each begin a new piece, so that "May, 3" and "May , 3" are split
    alike.
    """
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Punctuation(),
            pre_tokenizers.Digits(individual_digits=False),
            pre_tokenizers.Metaspace(),
        ]
    )
    tokenizer.decoder = decoders.Metaspace()
    trainer = BpeTrainer(
        vocab_size=max_vocabulary, special_tokens=list(SPECIALS), show_progress=False
    )
    rows = text[:NUM_TOKENIZER_ROWS]
    tokenizer.train_from_iterator((part for r in rows for part in (r.text, r.pair or "")), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[(token, SPECIALS.index(token)) for token in ("<s>", "</s>")],
    )
    return tokenizer.to_str()


def fast_tokenizer(pieces: str, *, max_length: int) -> PreTrainedTokenizerFast:
    """The tokenizer in this JSON, for sequences of at most `max_length` tokens."""
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(pieces),
        bos_token="<s>",
        cls_token="<s>",
        eos_token="</s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token="<mask>",
        model_max_length=max_length,
    )
