import random

from trainables.pocket.documents import draw_document
from trainables.pocket.inventory import CYCLES, FACTS, run_of


def test_documents_say_only_what_is_true() -> None:
    rng = random.Random(0)
    facts = {fact.items()[0]: fact.items()[1:] for fact in FACTS}
    runs = {
        run_of(cycle, start, length)
        for cycle in CYCLES
        for start in range(len(cycle))
        for length in range(3, 7)
    }
    for _ in range(300):
        for items in draw_document(rng):
            territory = [item for item in items if item.kind == "territory"]
            claims = [item for item in items if item.kind in ("language", "currency")]
            assert items in runs or set(claims) <= set(facts[territory[0]])
            assert items in runs or claims
