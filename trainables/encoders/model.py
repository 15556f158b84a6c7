"""The encoder under its heads. Only the encoder passes from one phase to the next."""

import copy
import hashlib
import json
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from spaces.phases import POOLED, Pooling
from spaces.refusal import Refusal
from spaces.tasks.task import Task
from trainables.encoders.loading import read_encoder
from trainables.encoders.prefix import add_prefix
from trainables.encoders.states import hidden_states as hidden_states
from trainables.formats import encoding
from trainables.formats.base import Batch
from trainables.formats.kinds import format_of_kind
from trainables.formats.own_heads import first_token_head
from trainables.store.folders import state_digest as state_digest

State = Mapping[str, Tensor]
# Keys of a config that are names, or that change no hidden state here (no weight of a loaded
# encoder is drawn).
IGNORED_SETTINGS = frozenset(
    {
        "_name_or_path",
        "_commit_hash",
        "name_or_path",
        "transformers_version",
        "architectures",
        "auto_map",
        "dtype",
        "torch_dtype",
        "id2label",
        "label2id",
        "num_labels",
        "problem_type",
        "finetuning_task",
        "task_specific_params",
        "classifier_dropout",
        "initializer_range",
        "use_cache",
        "return_dict",
        "output_hidden_states",
        "output_attentions",
        "output_past",
        "gradient_checkpointing",
        "tokenizer_class",
    }
)
# Those of them that change heads on the first token.
HEAD_SETTINGS = ("classifier_dropout", "initializer_range")
# The names of these modules in Hugging Face encoders.
POSITIONS, EMBEDDINGS, LAYERS = "position_embeddings", "embeddings", "encoder.layer"


class _Heads(nn.ModuleDict):
    """Heads by task. A task may have the name of a method of modules, such as `type`."""

    def __setitem__(self, key: str, module: nn.Module) -> None:
        self._modules[key] = module


class TransferModel(nn.Module):
    """An encoder with one head per task. The head of a task serves all its languages."""

    def __init__(self, encoder: nn.Module, heads: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.encoder = encoder
        self.heads = _Heads(dict(heads))

    def forward(self, batch: Batch, *, all_layers: bool = False) -> tuple[Tensor, ...]:
        """The hidden states of the encoder, as `hidden_states` returns them."""
        return hidden_states(self.encoder, batch, all_layers=all_layers)

    def freeze(self, num_layers: int | None) -> None:
        """Freeze the embeddings and the `num_layers` lowest layers; None freezes nothing."""
        if num_layers is None:
            return
        modules = dict(self.encoder.named_modules())
        for name in (EMBEDDINGS, *(f"{LAYERS}.{number}" for number in range(num_layers))):
            modules[name].requires_grad_(False)

    @property
    def device(self) -> torch.device:
        return next(self.encoder.parameters()).device


@dataclass(frozen=True, slots=True)
class BaseEncoder:
    """The encoder that every trial starts from, with its tokenizer. It is loaded once per
    process. `pooler` holds the weights of the pooler that came with the encoder, which heads on the
    first token start from."""

    encoder: nn.Module
    tokenizer: PreTrainedTokenizerFast
    weights_digest: str
    tokenizer_digest: str
    pooler: State = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, Any]:
        """The keys of the encoder's config that differ from the defaults of its architecture and
        can change results: dropout, heads, activation and others. Weights do not show these."""
        return settings_of(self.config)

    @property
    def digests(self) -> dict[str, str]:
        """The digests of its weights, its config and its tokenizer, which decide results."""
        return {
            "weights": self.weights_digest,
            "config": settings_digest(self.settings),
            "tokenizer": self.tokenizer_digest,
        }

    @classmethod
    def load(
        cls, folder: str, *, revision: str | None = None, text_prefix: str = ""
    ) -> "BaseEncoder":
        """Read any `AutoModel` encoder with a fast tokenizer, from a folder or the hub.

        Only safetensors are read, and no remote code is run. `text_prefix` stands before every row
        (see `prefix`). Raises Refusal, in one line, for everything that cannot be trained as an
        encoder (see `checks`).
        """
        encoder, tokenizer, pooler = read_encoder(folder, revision=revision)
        add_prefix(tokenizer, text_prefix)
        digests = state_digest(encoder.state_dict()), text_digest(tokenizer)
        return cls(encoder, tokenizer, *digests, pooler)

    @property
    def head_digest(self) -> str:
        """SHA-256 of what heads on the first token depend on besides the encoder, in
        hexadecimal."""
        content = {name: getattr(self.config, name, None) for name in HEAD_SETTINGS}
        return settings_digest({**content, "pooler": state_digest(self.pooler)})

    def model(
        self,
        tasks: Iterable[Task],
        *,
        encoder: State | None,
        seed: int | str,
        pooling: Pooling = Pooling.MEAN,
        trains_embeddings: bool = True,
    ) -> TransferModel:
        """A copy of the encoder under new heads for `tasks`; `encoder` gives other weights for the
        copy. `pooling` is what the heads of classification and choice read.

        Each head is drawn from (seed, task), so that it does not depend on the other heads. Unless
        the model `trains_embeddings`, it uses the memory of this encoder's embeddings where its own
        are equal: they are most of the weights of a multilingual encoder.
        """
        body = self._copy(encoder, {} if trains_embeddings else self._equal_embeddings(encoder))
        heads = {}
        for task in sorted(tasks, key=lambda task: task.name):
            torch.manual_seed(random.Random(f"head:{seed}:{task.name}").getrandbits(63))
            head = self._head(task, body, pooling)
            if head is not None:
                heads[task.name] = head
        return TransferModel(body, heads)

    def _copy(self, state: State | None, shared: Mapping[str, nn.Parameter]) -> nn.Module:
        """A copy of the encoder, with these weights, that shares the memory of some parameters."""
        # Parameters of their own, because a copy may be frozen; only the memory is shared.
        memo = {id(p): nn.Parameter(p.detach(), requires_grad=False) for p in shared.values()}
        body = copy.deepcopy(self.encoder, memo)
        if state is not None:
            loaded = {name: value for name, value in state.items() if name not in shared}
            missing = body.load_state_dict(loaded, strict=not shared).missing_keys
            assert set(missing) <= shared.keys(), missing
        return body

    def _equal_embeddings(self, state: State | None) -> dict[str, nn.Parameter]:
        """The weights of this encoder's embeddings that are the same in `state`, by name."""
        tables = {id(m.weight) for m in self.encoder.modules() if isinstance(m, nn.Embedding)}
        return {
            name: parameter
            for name, parameter in self.encoder.named_parameters(remove_duplicate=False)
            if id(parameter) in tables
            and (state is None or torch.equal(state[name].to(parameter.device), parameter))
        }

    def _head(self, task: Task, body: nn.Module, pooling: Pooling) -> nn.Module | None:
        if pooling is Pooling.FIRST and task.kind in POOLED:
            return first_token_head(task, body, self.pooler)
        return format_of_kind(task.kind).build_head(task, body)

    @property
    def config(self) -> Any:
        return self.encoder.config

    @property
    def num_layers(self) -> int:
        return int(self.config.num_hidden_layers)

    def check_length(self, max_length: int) -> None:
        """Raises Refusal for sequences longer than the positions of the encoder, or too short for a
        pair of texts. `max_length` counts tokens."""
        try:
            encoding.Template.of(self.tokenizer).room(max_length, pair=True)
        except ValueError as error:
            raise Refusal(f"{error} tokens with this encoder's tokenizer") from error
        limit = getattr(self.config, "max_position_embeddings", None)
        if limit is None:
            return
        positions = [m for n, m in self.encoder.named_modules() if n.endswith(POSITIONS)]
        padding = getattr(positions[0], "padding_idx", None) if positions else None
        # RoBERTa and models like it count positions from padding id + 1, so that two are lost.
        limit -= 0 if padding is None else padding + 1
        if max_length > limit:
            raise Refusal(
                f"max_length is {max_length} tokens, but the encoder has {limit} positions; "
                f"set max_length = {limit} or less"
            )

    def check_frozen(self, num_layers: int | None) -> None:
        """Raises Refusal for more layers than the encoder has, and for an encoder whose layers have
        other names."""
        if num_layers is None:
            return
        names = {name for name, _ in self.encoder.named_modules()}
        if EMBEDDINGS not in names or f"{LAYERS}.0" not in names:
            raise Refusal(
                f"this encoder has no modules {EMBEDDINGS!r} and {LAYERS!r} to freeze; leave "
                "num_frozen_layers out"
            )
        if num_layers > self.num_layers:
            raise Refusal(
                f"num_frozen_layers is {num_layers}; expected at most "
                f"{self.num_layers}, the layers of the encoder"
            )


def settings_of(config: Any) -> dict[str, Any]:
    """The values of a config that differ from the defaults of its architecture, as JSON values. A
    default gives the same result whether config.json holds it or leaves it out."""
    # Some architectures have no defaults; then every value is kept.
    has_none = getattr(type(config), "has_no_defaults_at_init", False)
    defaults = {} if has_none else type(config)().to_dict()
    content = {
        name: value
        for name, value in config.to_dict().items()
        if name not in IGNORED_SETTINGS and (name not in defaults or value != defaults[name])
    }
    content["model_type"] = config.model_type
    settings: dict[str, Any] = json.loads(json.dumps(content, sort_keys=True, default=str))
    return settings


def settings_digest(settings: Mapping[str, Any]) -> str:
    """SHA-256 of the settings as sorted JSON, in hexadecimal."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def text_digest(tokenizer: PreTrainedTokenizerFast) -> str:
    """SHA-256 of everything that decides how the tokenizer splits text, in hexadecimal."""
    content = [tokenizer.backend_tokenizer.to_str(), sorted(tokenizer.special_tokens_map.items())]
    return hashlib.sha256(json.dumps(content, default=str).encode()).hexdigest()
