"""Writes a trained target as a plain Hugging Face folder, which `predictor.py` reads.

`AutoModel` and `AutoTokenizer` load the folder. The head is beside the encoder in
`head.safetensors`, and `transfer_search.json` describes the model. Where transformers has a class
with the same head, that class loads the weights too.
"""

import copy
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from safetensors.torch import save_file
from torch import nn
from transformers import AutoModelForQuestionAnswering, AutoModelForTokenClassification

from spaces.tasks.task import METRICS, AnswerRules, Task, TaskKind
from trainables.encoders.model import TransferModel
from trainables.training.context import TrialContext
from trainables.training.stage import model_after
from trainables.whole import check_new, whole_folder

HEAD, ABOUT = "head.safetensors", "transfer_search.json"
# Classes of transformers that have our head (one linear layer on every token), and its name there.
SAME_HEAD: Mapping[TaskKind, tuple[Any, str]] = MappingProxyType(
    {
        TaskKind.TAGGING: (AutoModelForTokenClassification, "classifier"),
        TaskKind.SPAN: (AutoModelForQuestionAnswering, "qa_outputs"),
    }
)
# The classes of these families compute other hidden states than the encoder alone: Longformer's
# gives the question global attention.
READS_OTHERWISE = frozenset({"longformer"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDescription:
    """A model folder's task, and the plan that trained it. `layer` is that of retrieval, as in
    `RetrievalFormat`. `learning_rates` has, by role, the rates that its phases were trained at:
    half of the plan's rate where that rate diverged. `kind`, `head` (the task whose head it is) and
    `answer_rules` describe a task that is not shipped. Folders of earlier versions have neither."""

    task: str
    labels: tuple[str, ...]
    max_length: int
    phase_key: str | None
    plan: Mapping[str, Any]
    layer: int | None = None
    learning_rates: Mapping[str, float] = field(default_factory=dict)
    kind: str | None = None
    head: str | None = None
    answer_rules: str = AnswerRules.SQUAD_V1.value

    def described_task(self) -> Task | None:
        """The task as the folder describes it; None in folders of earlier versions."""
        if self.kind is None:
            return None
        kind = TaskKind(self.kind)
        task = Task(
            name=self.task,
            kind=kind,
            dataset=self.task,
            languages=("en",),
            metric=METRICS[kind][0],
            chance=0.0,
            num_train_rows=0,
            labels=self.labels,
            answer_rules=AnswerRules(self.answer_rules),
        )
        if self.head in (None, self.task):
            return task
        return replace(task, train_on=replace(task, name=self.head or ""))


def export_target(
    folder: Path, context: TrialContext, about: ModelDescription, *, card: str
) -> None:
    """Write the encoder and head of one target, the tokenizer and the card into a new folder.
    Raises Refusal where it exists or cannot be written."""
    check_new(folder)
    task = context.settings.catalogue.get(about.task)
    tasks = (task.training_task,) if task.trains else ()
    model = model_after(about.phase_key, tasks, context)
    whole: Any = whole_model(model, task)
    with whole_folder(folder) as draft:
        whole.save_pretrained(draft)
        context.base.tokenizer.save_pretrained(draft)
        save_file({k: v.contiguous() for k, v in model.heads.state_dict().items()}, draft / HEAD)
        (draft / ABOUT).write_text(json.dumps(asdict(about), indent=1, sort_keys=True))
        (draft / "README.md").write_text(card)


def whole_model(model: TransferModel, task: Task) -> nn.Module:
    """The model of transformers with our encoder and head, where transformers has such a class,
    else the encoder alone. The head of classification and choice reads the mean of all tokens,
    which no class of transformers does."""
    if task.kind not in SAME_HEAD:
        return model.encoder
    auto, name = SAME_HEAD[task.kind]
    config: Any = copy.deepcopy(model.encoder.config)
    if type(config) not in auto._model_mapping or config.model_type in READS_OTHERWISE:
        return model.encoder
    if task.kind is TaskKind.TAGGING:
        config.id2label = dict(enumerate(task.labels))
        config.label2id = {label: number for number, label in enumerate(task.labels)}
    whole = auto.from_config(config, trust_remote_code=False)
    head, linear = model.heads[task.training_task.name], getattr(whole, name, None)
    body, encoder = whole.base_model, model.encoder.state_dict()
    if not isinstance(linear, nn.Linear) or body.state_dict().keys() != encoder.keys():
        return model.encoder
    if len(whole.state_dict()) != len(encoder) + len(linear.state_dict()):
        return model.encoder  # ModernBERT's class has a layer more, which would be random
    body.load_state_dict(encoder)
    linear.load_state_dict(head.state_dict())
    assert isinstance(whole, nn.Module)
    return whole
