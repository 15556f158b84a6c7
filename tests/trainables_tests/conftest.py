"""A tiny tokenizer and a tiny encoder, built in memory."""

import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaModel

SENTENCES = (
    "The old cat sat on the warm mat and looked at the sea.",
    "今日は東京でとても暑い日でした。",
    "北京是中国的首都,人口很多。",
    "กรุงเทพเป็นเมืองหลวงของประเทศไทย",
    "القاهرة هي عاصمة مصر وأكبر مدنها",
    "दिल्ली भारत की राजधानी है और बड़ा शहर है",
)
SPECIALS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")


def train_bpe(pre_tokenizer: pre_tokenizers.PreTokenizer) -> PreTrainedTokenizerFast:
    """XLM-R's special tokens and pair template around a BPE with a byte for unknown letters."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizer
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=[*SPECIALS, *(f"<0x{byte:02X}>" for byte in range(256))],
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        cls_token="<s>",
        eos_token="</s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token="<mask>",
    )


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    """Like XLM-R's: a space belongs to the word after it."""
    return train_bpe(pre_tokenizers.Metaspace())


@pytest.fixture(scope="session")
def byte_level() -> PreTrainedTokenizerFast:
    """Like RoBERTa's: words in running text are known by the space before them."""
    return train_bpe(pre_tokenizers.ByteLevel(add_prefix_space=False))


@pytest.fixture(scope="session")
def wordpiece() -> PreTrainedTokenizerFast:
    """Like BERT's: words are split at white space, the rest of a word is `##` pieces."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(
        vocab_size=300, special_tokens=specials, show_progress=False
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        cls_token="[CLS]",
        sep_token="[SEP]",
        pad_token="[PAD]",
        unk_token="[UNK]",
        mask_token="[MASK]",
    )


@pytest.fixture
def tiny_encoder(tokenizer: PreTrainedTokenizerFast) -> XLMRobertaModel:
    """Two layers, 32 wide, always the same weights, in evaluation mode."""
    torch.manual_seed(0)
    config = XLMRobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=130,
        type_vocab_size=400,
        pad_token_id=tokenizer.pad_token_id,
    )
    return XLMRobertaModel(config, add_pooling_layer=False).eval()
