"""Heads on the first token: the heads of transformers' own classes, without their encoders."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForMultipleChoice, AutoModelForSequenceClassification
from transformers.modeling_outputs import BaseModelOutputWithPooling

from spaces.phases import Pooling
from spaces.tasks.task import Task, TaskKind
from trainables.formats.heads import PooledHead, width_of

# The classes of transformers for a kind, the best one first. A class for sequences with one output
# scores one choice at a time.
CLASSES: Mapping[TaskKind, tuple[Any, ...]] = MappingProxyType(
    {
        TaskKind.CLASSIFICATION: (AutoModelForSequenceClassification,),
        TaskKind.CHOICE: (AutoModelForMultipleChoice, AutoModelForSequenceClassification),
    }
)
# The classes of these families compute other hidden states than the encoder alone: Longformer's
# gives the first token global attention.
READS_OTHERWISE = frozenset({"longformer"})
# What families with a choice of their own (`classifier_pooling`) call the first token.
_FIRST_TOKEN = {"modernbert": "cls", "eurobert": "bos"}


@dataclass
class _States(BaseModelOutputWithPooling):
    entity_hidden_states: Any = None  # LUKE's classes hand it on


class GivenStates(nn.Module):
    """Stands in for the encoder of a class of transformers: its hidden states are given to it. It
    keeps the pooler, which belongs to the head."""

    def __init__(self, body: Any) -> None:
        super().__init__()
        self.pooler = getattr(body, "pooler", None)
        names = ("pooler_activation", "activation")  # of ALBERT, of BigBird
        self.activation = next((a for name in names if (a := getattr(body, name, None))), None)

    def forward(self, *_: Any, inputs_embeds: Tensor, **__: Any) -> _States:
        """The given states, [S, L, H], as the last layer's."""
        pooled = None
        if isinstance(self.pooler, nn.Linear):
            pooled = self.pooler(inputs_embeds[:, 0])
            pooled = pooled if self.activation is None else self.activation(pooled)
        elif self.pooler is not None:
            pooled = self.pooler(inputs_embeds)
        return _States(last_hidden_state=inputs_embeds, pooler_output=pooled)


class OwnHead(nn.Module):
    """The head of a class of transformers: hidden states [S, L, H] to logits [S, outputs]. `whole`
    is a model of that class whose encoder is replaced by `GivenStates`."""

    def __init__(self, whole: Any, *, by_row: bool) -> None:
        """`by_row`: the class reads all choices of a row at once, [rows, choices, L]."""
        super().__init__()
        self.whole = whole
        self._by_row = by_row

    def forward(self, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        if self._by_row:  # every sequence as a row with one choice
            hidden, attention_mask = hidden.unsqueeze(1), attention_mask.unsqueeze(1)
        logits: Tensor = self.whole(inputs_embeds=hidden, attention_mask=attention_mask).logits
        return logits

    def completed(self, encoder: nn.Module) -> nn.Module:
        """A model of the class with this head and the weights of this encoder."""
        whole = type(self.whole)(copy.deepcopy(self.whole.config))
        prefix = self.whole.base_model_prefix
        body = {f"{prefix}.{name}": value for name, value in encoder.state_dict().items()}
        whole.load_state_dict({**body, **self.whole.state_dict()})
        assert isinstance(whole, nn.Module)
        return whole.eval()


def first_token_head(task: Task, encoder: nn.Module, pooler: Mapping[str, Tensor]) -> nn.Module:
    """A new head on the first token, drawn from torch's global generator.

    It is the head of the first class in `CLASSES` that the encoder's family has, with its own
    pooler, dropout and initialisation. A family without such a class has the head of XLM-R
    (`PooledHead`) instead.

    Args:
        pooler: the weights of the pooler that came with the encoder; they are kept where the class
            has the same pooler, as `from_pretrained` keeps them.
    """
    for auto in CLASSES[task.kind]:
        whole = _headless(auto, task, encoder)
        if whole is not None:
            _draw(whole)
            states = whole.base_model
            if states.pooler is not None and _shapes(states.pooler.state_dict()) == _shapes(pooler):
                states.pooler.load_state_dict(pooler)
            head = OwnHead(whole, by_row=auto is AutoModelForMultipleChoice)
            _freeze_unread(head, width_of(encoder))
            return head
    return PooledHead(width_of(encoder), num_outputs(task), pooling=Pooling.FIRST)


def num_outputs(task: Task) -> int:
    """The logits of a sequence: one for each label, one for a choice."""
    return 1 if task.kind is TaskKind.CHOICE else len(task.labels)


def _headless(auto: Any, task: Task, encoder: nn.Module) -> Any:
    """A model of the class, without weights, over given hidden states; None where the family has no
    such class, or where the encoder of the class is another one."""
    config: Any = copy.deepcopy(encoder.config)
    if type(config) not in auto._model_mapping or config.model_type in READS_OTHERWISE:
        return None
    if auto is AutoModelForSequenceClassification:
        names = task.labels if task.kind is TaskKind.CLASSIFICATION else ("score",)
        config.id2label = dict(enumerate(names))
        config.label2id = {name: number for number, name in enumerate(names)}
        # A class with one output is one for regression: its pipeline gives the logit itself.
        single = "single_label_classification"
        config.problem_type = single if len(names) > 1 else "regression"
    if hasattr(config, "classifier_pooling"):
        config.classifier_pooling = _FIRST_TOKEN.get(config.model_type, "cls")
    with torch.device("meta"):  # the weights of a large encoder would be drawn in vain
        whole = auto.from_config(config, trust_remote_code=False)
    body = whole.base_model
    if body is whole or _names(body) != _names(encoder):
        return None
    setattr(whole, whole.base_model_prefix, GivenStates(body))
    return whole


def _names(encoder: nn.Module) -> set[str]:
    """The names of an encoder's weights, without those of a pooler."""
    return {name for name in encoder.state_dict() if not name.startswith("pooler.")}


def _shapes(state: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in state.items()}


def _draw(whole: Any) -> None:
    """Draw the weights as transformers draws those that a checkpoint lacks."""
    whole.to_empty(device="cpu")
    for part in (*whole.modules(), *whole.parameters()):
        part._is_hf_initialized = False
    whole.initialize_weights()


def _freeze_unread(head: OwnHead, width: int) -> None:
    """Freeze weights that no logit depends on: BigBird's class for sequences has a pooler that it
    does not read. Weight decay would change them, by the number of workers."""
    hidden, mask = torch.zeros(1, 2, width), torch.ones(1, 2, dtype=torch.long)
    weights = list(head.parameters())
    logits = head.eval()(hidden, mask)
    gradients = torch.autograd.grad(logits.sum(), weights, allow_unused=True)
    for weight, gradient in zip(weights, gradients, strict=True):
        weight.requires_grad_(gradient is not None)
    head.train()
