"""A trained target as a plain Hugging Face folder; `predictor.py` reads it back.

`AutoModel` and `AutoTokenizer` load the folder; the head lies beside the encoder in
`head.safetensors`, and `transfer_search.json` says what it is for. Where transformers has a class
with the same head, the weights are that class's too.
"""

import copy
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from safetensors.torch import save_file
from torch import nn
from transformers import AutoModelForQuestionAnswering, AutoModelForTokenClassification

from spaces.refusal import Refusal
from spaces.task_catalog import Task, TaskKind, get_task
from trainables.encoders.model import TransferModel
from trainables.training.context import TrialContext
from trainables.training.stage import model_after
from trainables.whole import check_new

HEAD, ABOUT = "head.safetensors", "transfer_search.json"
# transformers' own classes whose head is ours, one linear map of every token, and its name there.
SAME_HEAD: Mapping[TaskKind, tuple[Any, str]] = MappingProxyType(
    {
        TaskKind.TAGGING: (AutoModelForTokenClassification, "classifier"),
        TaskKind.SPAN: (AutoModelForQuestionAnswering, "qa_outputs"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDescription:
    """What a model folder is: the task it was trained for and the plan it was trained by. `layer`
    is retrieval's, as in `RetrievalFormat`. `learning_rates` has, by role, those that its phases
    were really trained at: half of the plan's where that diverged; older folders do not say."""

    task: str
    labels: tuple[str, ...]
    max_length: int
    phase_key: str | None
    plan: Mapping[str, Any]
    layer: int | None = None
    learning_rates: Mapping[str, float] = field(default_factory=dict)


def export_target(
    folder: Path, context: TrialContext, about: ModelDescription, *, card: str
) -> None:
    """Write the encoder and head of one target, the tokenizer and the card into a new folder."""
    check_new(folder)
    task = get_task(about.task)
    tasks = (task.training_task,) if task.trains else ()
    model = model_after(about.phase_key, tasks, context)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Refusal(f"{folder} cannot be written: {error.strerror}") from error
    whole: Any = whole_model(model, task)
    whole.save_pretrained(folder)
    context.base.tokenizer.save_pretrained(folder)
    save_file({k: v.contiguous() for k, v in model.heads.state_dict().items()}, folder / HEAD)
    (folder / ABOUT).write_text(json.dumps(asdict(about), indent=1, sort_keys=True))
    (folder / "README.md").write_text(card)


def whole_model(model: TransferModel, task: Task) -> nn.Module:
    """transformers' own model with our encoder and head, where it has one that says the same; else
    the encoder alone (the head of classification and choice reads the mean of all tokens, which no
    class of an encoder's does)."""
    if task.kind not in SAME_HEAD:
        return model.encoder
    auto, name = SAME_HEAD[task.kind]
    config: Any = copy.deepcopy(model.encoder.config)
    if type(config) not in auto._model_mapping:
        return model.encoder
    if task.kind is TaskKind.TAGGING:
        config.id2label = dict(enumerate(task.labels))
        config.label2id = {label: number for number, label in enumerate(task.labels)}
    whole = auto.from_config(config)
    ours, theirs = model.heads[task.training_task], getattr(whole, name, None)
    body, encoder = whole.base_model, model.encoder.state_dict()
    if not isinstance(theirs, nn.Linear) or body.state_dict().keys() != encoder.keys():
        return model.encoder
    body.load_state_dict(encoder)
    theirs.load_state_dict(ours.state_dict())
    assert isinstance(whole, nn.Module)
    return whole
