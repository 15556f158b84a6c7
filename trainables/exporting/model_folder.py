"""Writes a trained target as a plain Hugging Face folder, which `predictor.py` reads.

`AutoModel` and `AutoTokenizer` load the folder. The head is beside the encoder in
`head.safetensors`, and `transfer_search.json` describes the model. Where transformers has a class
with the same head, that class loads the weights too; a model for retrieval is loaded by
sentence-transformers.
"""

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from safetensors.torch import save_file
from torch import nn
from transformers import AutoModelForQuestionAnswering, AutoModelForTokenClassification

from spaces.phases import POOLED, Pooling
from spaces.tasks.task import METRICS, AnswerRules, Task, TaskKind
from trainables.encoders.model import TransferModel
from trainables.exporting.load_notes import load_notes
from trainables.exporting.plain_tokenizer import plain_tokenizer
from trainables.exporting.sentence_folder import cut_to_layer, write_modules
from trainables.formats.heads import width_of
from trainables.formats.own_heads import READS_OTHERWISE, OwnHead
from trainables.formats.retrieval import RetrievalFormat
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDescription:
    """A model folder's task, and the plan that trained it. `layer` is that of retrieval, as in
    `RetrievalFormat`. `learning_rates` has, by role, the rates that its phases were trained at:
    half of the plan's rate where that rate diverged. `kind`, `head` (the task whose head it is) and
    `answer_rules` describe a task that is not shipped. Folders of earlier versions have none of
    these, nor `pooling` (`Recipe.pooling`)."""

    task: str
    labels: tuple[str, ...]
    max_length: int
    phase_key: str | None
    plan: Mapping[str, Any]
    layer: int | None = None
    learning_rates: Mapping[str, float] = field(default_factory=dict)
    pooling: str = Pooling.MEAN.value
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
    folder: Path,
    context: TrialContext,
    about: ModelDescription,
    *,
    card: str,
    add: Callable[[Path, TransferModel], None] | None = None,
) -> None:
    """Write the encoder and head of one target, the tokenizer and the card into a new folder.
    `add` writes more into the draft before it gets its name. Raises Refusal where the folder exists
    or cannot be written."""
    check_new(folder)
    task, base = context.settings.catalogue.get(about.task), context.base
    tasks = (task.training_task,) if task.trains else ()
    model = model_after(about.phase_key, tasks, context)
    whole: Any = whole_model(model, task)
    is_retrieval = task.kind is TaskKind.RETRIEVAL
    cut = None
    if is_retrieval:
        layer = RetrievalFormat(layer=about.layer).layer_of(base.num_layers)
        about, cut = replace(about, layer=layer), cut_to_layer(model.encoder, layer)
        whole = cut or whole
    # The formats of the other kinds read long rows in windows; a pipeline would cut them silently.
    is_cut = is_retrieval or task.kind in POOLED
    max_length = about.max_length if is_cut else None
    tokenizer = plain_tokenizer(base.tokenizer, base.config, max_length=max_length)
    with whole_folder(folder) as draft:
        whole.save_pretrained(draft)
        tokenizer.save_pretrained(draft)
        if cut is not None:
            write_modules(draft, width=width_of(cut), max_length=about.max_length)
        save_file({k: v.contiguous() for k, v in model.heads.state_dict().items()}, draft / HEAD)
        (draft / ABOUT).write_text(json.dumps(asdict(about), indent=1, sort_keys=True))
        notes = load_notes(task, whole, pooling=about.pooling, is_sentence_folder=cut is not None)
        (draft / "README.md").write_text(f"{card.rstrip()}\n\n{notes}")
        if add is not None:
            add(draft, model)


def whole_model(model: TransferModel, task: Task) -> nn.Module:
    """The model of transformers with our encoder and head, where transformers has such a class,
    else the encoder alone. A head that reads the mean of all tokens has no class."""
    head = model.heads[task.training_task.name] if task.trains else None
    if isinstance(head, OwnHead):
        return head.completed(model.encoder)
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
    linear = getattr(whole, name, None)
    body, encoder = whole.base_model, model.encoder.state_dict()
    if not isinstance(linear, nn.Linear) or body.state_dict().keys() != encoder.keys():
        return model.encoder
    if len(whole.state_dict()) != len(encoder) + len(linear.state_dict()):
        return model.encoder  # ModernBERT's class has a layer more, which would be random
    body.load_state_dict(encoder)
    linear.load_state_dict(model.heads[task.training_task.name].state_dict())
    assert isinstance(whole, nn.Module)
    return whole
