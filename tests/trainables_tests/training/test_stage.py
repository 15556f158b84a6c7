from dataclasses import replace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from spaces.phases import Role
from spaces.refusal import Refusal
from spaces.study_file.sections import Precision
from spaces.tasks.catalogue import SHIPPED
from trainables.encoders.model import state_digest
from trainables.store.folders import write_folder
from trainables.store.phase_store import PhaseRecord
from trainables.training.loop import DivergedError
from trainables.training.stage import get_or_train, model_after, untrained_model


def phases_told(events: list[dict[str, Any]]) -> list[tuple[str, bool]]:
    return [(e["key"], e["reused"]) for e in events if e["event"] == "phase"]


def test_a_phase_is_trained_once(open_context, make_phase, events) -> None:
    context, phase = open_context(), make_phase("rel", num_steps=4, max_train_rows=30)
    first = get_or_train(phase, None, context, events.append)
    again = get_or_train(phase, None, open_context(), events.append)
    key = context.key_facts.key(phase, None)
    assert phases_told(events) == [(key, False), (key, True)]
    assert again == first
    assert first.num_steps == first.best_step == 4
    assert first.parent is None
    assert first.phase == phase.to_dict()
    assert [event["event"] for event in events] == ["trained", "phase", "phase"]
    hardware = (first.device, first.precision, first.num_workers, first.max_device_tokens)
    assert hardware == ("cpu", "fp32", 1, context.settings.resources.max_device_tokens)


def test_the_head_that_was_trained_is_read(open_context, make_phase, events) -> None:
    context = open_context()
    keys = []
    for pooling, name in (("mean", "PooledHead"), ("first", "OwnHead")):
        phase = make_phase("rel", num_steps=2, max_train_rows=30, pooling=pooling)
        record = get_or_train(phase, None, context, events.append)
        model = model_after(record.key, (SHIPPED.get("rel"),), context)
        assert type(model.heads["rel"]).__name__ == name
        assert record.phase["recipe"].get("pooling", "mean") == pooling
        _, heads = context.store.load(record.key)
        found = model.heads.state_dict()
        assert all(torch.equal(value, heads[name]) for name, value in found.items())
        keys.append(record.key)
    assert len(set(keys)) == 2


def test_a_worker_does_not_train_in_another_precision_than_the_key_says(
    open_context, make_phase, events
) -> None:
    """A study for GPUs on a worker that has none (or one that has no bf16): what was trained
    before is still found."""
    phase = make_phase("rel", num_steps=2, max_train_rows=30)
    context = open_context(resources={"gpus_per_worker": 1})
    assert context.key_facts.precision is Precision.BF16
    reported = (
        r"'tiny' are trained in bf16, but this worker \(cpu\) computes in fp32; .*precision = 'fp"
    )
    with pytest.raises(Refusal, match=reported):
        get_or_train(phase, None, context, events.append)
    assert events == []
    known = PhaseRecord(key=context.key_facts.key(phase, None), parent=None, phase=phase.to_dict())
    context.store.commit(known, {"encoder": context.base.encoder.state_dict(), "heads": {}})
    assert get_or_train(phase, None, context, events.append) == known

    other = open_context(resources={"gpus_per_worker": 1, "precision": "fp32"})
    assert get_or_train(phase, None, other, events.append).precision == "fp32"
    assert phases_told(events)[1] == (open_context().key_facts.key(phase, None), False)


def test_a_phase_goes_on_from_its_parents_encoder(open_context, make_phase, events) -> None:
    context = open_context()
    options = {"num_steps": 4, "max_train_rows": 30}
    intermediate = get_or_train(make_phase("rel", **options), None, context, events.append)
    after = get_or_train(make_phase("coh", **options), intermediate.key, context, events.append)
    alone = get_or_train(make_phase("coh", **options), None, context, events.append)
    assert len({intermediate.key, after.key, alone.key}) == 3
    assert after.parent == intermediate.key
    _, stem_heads = context.store.load(intermediate.key)
    encoder, heads = context.store.load(after.key)
    assert {name.partition(".")[0] for name in stem_heads} == {"rel"}
    assert {name.partition(".")[0] for name in heads} == {"coh"}
    assert state_digest(encoder) != state_digest(context.store.load(alone.key)[0])


def test_the_model_after_a_phase(open_context, make_phase, events) -> None:
    context = open_context()
    untouched = model_after(None, (), context)
    assert state_digest(untouched.encoder.state_dict()) == context.base.weights_digest
    phase = make_phase("rel", "fact", num_steps=4, max_train_rows=30)
    record = get_or_train(phase, None, context, events.append)
    encoder, heads = context.store.load(record.key)
    model = model_after(record.key, (SHIPPED.get("fact"),), context)
    assert state_digest(model.encoder.state_dict()) == state_digest(encoder)
    assert list(model.heads) == ["fact"]
    assert torch.equal(model.heads["fact"].dense.weight, heads["fact.dense.weight"])
    assert len(model_after(record.key, (), context).heads) == 0


def test_validation_rows_choose_the_weights(open_context, make_phase, events) -> None:
    context = open_context()
    phase = make_phase(
        "rel", "fact@de", num_steps=8, evaluate_every=2, max_dev_rows=10, max_train_rows=30
    )
    record = get_or_train(phase, None, context, events.append)
    assert [step for step, _ in record.dev_scores] == [2, 4, 6, 8]
    best = max(score for _, score in record.dev_scores)
    assert (record.best_step, best) in record.dev_scores


def test_a_half_done_phase_goes_on_where_it_stopped(
    open_context, make_phase, leave_half_done, tmp_path, events
):
    """The checkpoint of a process that was killed is planted; the end is that of an undisturbed
    run in a store of its own."""
    phase = make_phase("rel", num_steps=25, max_train_rows=40)
    undisturbed = open_context(tmp_path / "one")
    expected = get_or_train(phase, None, undisturbed, events.append)

    context = open_context(tmp_path / "two")
    key, attempt = (
        context.key_facts.key(phase, None),
        context.store.attempt(context.key_facts.key(phase, None)),
    )
    leave_half_done(phase, context, attempt)
    # what another process was cut short in
    write_folder(attempt.folder / "writing-x", {"model": {}}, {})
    assert context.store.newest_checkpoint(key) == attempt.folder / "checkpoint-000000010"
    steps: list[int] = []
    record = get_or_train(phase, None, context, lambda event: steps.append(event.get("step", 0)))
    assert replace(record, seconds=0) == replace(expected, seconds=0)
    for name in ("encoder", "heads"):
        one = load_file(tmp_path / "one" / "phases" / key / f"{name}.safetensors")
        two = load_file(tmp_path / "two" / "phases" / key / f"{name}.safetensors")
        assert state_digest(one) == state_digest(two)
    assert not attempt.folder.exists()


def test_activations_computed_twice_train_the_same(
    open_context, make_phase, tmp_path, events
) -> None:
    phase = make_phase("rel", num_steps=10, max_train_rows=40)
    plain = get_or_train(phase, None, open_context(tmp_path / "one"), events.append)
    sparing = open_context(tmp_path / "two", resources={"gradient_checkpointing": True})
    result = get_or_train(phase, None, sparing, events.append)
    assert result.key == plain.key
    assert result.losses == pytest.approx(plain.losses, abs=1e-6)


@pytest.mark.slow
def test_a_compiled_encoder_trains_the_same(open_context, make_phase, tmp_path, events) -> None:
    """Batches of many lengths, one graph, and weights under their own names."""
    phase = make_phase("rel", num_steps=20, max_train_rows=40)
    plain = get_or_train(phase, None, open_context(tmp_path / "one"), events.append)
    compiled = open_context(tmp_path / "two", resources={"compile_encoder": True})
    before = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    result = get_or_train(phase, None, compiled, events.append)
    graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"] - before
    assert 1 <= graphs <= 4
    assert result.losses == pytest.approx(plain.losses, abs=1e-4)
    one, two = (
        model_after(result.key, (SHIPPED.get("rel"),), context) for context in (compiled, compiled)
    )
    assert state_digest(one.state_dict()) == state_digest(two.state_dict())


def test_heads_of_the_two_phases_of_a_plan_are_drawn_apart(open_context, make_phase) -> None:
    """Of the same task from the same seed."""
    context = open_context()
    heads = [
        untrained_model(replace(make_phase("rel"), role=role), None, context).heads["rel"]
        for role in Role
    ]
    assert not torch.equal(heads[0].dense.weight, heads[1].dense.weight)


# ---- divergence

RECIPE = {"num_steps": 200, "batch_size": 1, "warmup_share": 0.0, "max_train_rows": 30}


@pytest.fixture
def edge(make_phase):
    """A phase that diverges at its rate and not at half of it: every step multiplies the weights
    by 1 - rate * decay, -19 and then less at the first, +- 0.9 at half..."""
    return make_phase("rel", learning_rate=0.02, weight_decay=199.0, **RECIPE)


def test_a_diverged_phase_is_done_again_at_half_the_rate(open_context, edge, events) -> None:
    context = open_context()
    record = get_or_train(edge, None, context, events.append)
    halved = replace(edge, learning_rate=edge.learning_rate / 2)
    key, retry_key = context.key_facts.key(edge, None), context.key_facts.key(halved, None)
    assert record.key == retry_key
    assert record.retry_of == key
    assert record.phase["learning_rate"] == edge.learning_rate / 2
    assert not record.has_diverged
    assert model_after(record.key, (SHIPPED.get("rel"),), context).heads
    first = context.store.record(key)
    assert first is not None
    assert first.retried_as == retry_key
    assert first.reason is not None
    assert "loss is nan" in first.reason
    # found again under either key, by this trial and by one that asks for half the rate
    assert get_or_train(edge, None, context, events.append) == record
    assert get_or_train(halved, None, context, events.append) == record
    assert phases_told(events) == [(key, False), (key, True), (retry_key, True)]
    reported = [PhaseRecord.from_dict(e["record"]) for e in events if e["event"] == "phase"]
    assert [result.retry_of for result in reported] == [key] * 3, "also where it is reused"


def planted(open_context, encoder_folder, home, value: float) -> Any:
    """A context whose encoder has a weight that is no number."""
    context = open_context(home)
    with torch.no_grad():
        next(context.base.encoder.parameters()).fill_(value)
    return context


def test_a_second_divergence_is_told_and_remembered(
    open_context, encoder_folder, tmp_path, make_phase, events
) -> None:
    context = planted(open_context, encoder_folder, tmp_path / "home", float("nan"))
    phase = make_phase("rel", num_steps=10, max_train_rows=30)
    with pytest.raises(DivergedError, match="again at half the rate: loss is nan") as diverged:
        get_or_train(phase, None, context, events.append)
    key = context.key_facts.key(phase, None)
    record = context.store.record(key)
    assert record is not None
    assert record.has_diverged
    assert record.reason == str(diverged.value)
    # not trained again
    with pytest.raises(DivergedError, match="again at half the rate"):
        get_or_train(phase, None, open_context(), events.append)
    assert phases_told(events) == [(key, False), (key, True)]
    assert [event["event"] for event in events] == ["phase", "phase"]


def test_a_rate_whose_double_diverged_twice_has_a_retry_of_its_own(
    open_context, make_phase, events
) -> None:
    """Whichever rate is tried first, each ends the same."""

    def outcome(rates: list[float], home: str) -> dict[float, bool]:
        context, result = open_context(contexts / home), {}
        for rate in rates:
            phase = make_phase("rel", learning_rate=rate, weight_decay=199.0, **RECIPE)
            try:
                get_or_train(phase, None, context, events.append)
                result[rate] = True
            except DivergedError:
                result[rate] = False
        return result

    contexts = open_context().data.folder.parent
    expected = {0.04: False, 0.02: True, 0.01: True}
    assert outcome([0.04, 0.02, 0.01], "down") == expected
    assert outcome([0.01, 0.02, 0.04], "up") == expected


def test_a_damaged_parent_is_refused(open_context, make_phase, events, tmp_path) -> None:
    context = open_context()
    intermediate = get_or_train(make_phase("rel", num_steps=2), None, context, events.append)
    path = tmp_path / "home" / "phases" / intermediate.key / "encoder.safetensors"
    state = load_file(path)
    save_file({name: value + 1 for name, value in state.items()}, path)
    with pytest.raises(ValueError, match="is damaged"):
        get_or_train(make_phase("coh", num_steps=2), intermediate.key, context, events.append)
