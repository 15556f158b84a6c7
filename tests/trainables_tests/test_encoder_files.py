"""What the names of an encoder's files say, and which of them are copied."""

from pathlib import Path

import pytest

from spaces.refusal import Refusal
from trainables.encoder_files import check_folder, copy_encoder, fault_of


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["model-Q4_K_M.gguf", "README.md"], "as GGUF (model-Q4_K_M.gguf)"),
        (["config.json", "pytorch_model.bin"], "only in a pickled file (pytorch_model.bin)"),
        (["config.json", "epoch=3.ckpt"], "only in a pickled file (epoch=3.ckpt)"),
        (["config.json", "weights.pt"], "AutoModel.from_pretrained(...).save_pretrained(FOLDER)"),
        (["config.json", "model.gguf", "a.bin"], "name the model that this file was made from"),
    ],
)
def test_weights_that_are_not_read_are_named(names: list[str], message: str) -> None:
    fault = fault_of(names)
    assert fault is not None
    assert message in fault
    assert "\n" not in fault
    assert fault_of([*names, "model.safetensors"]) is None


@pytest.mark.parametrize("names", [[], ["config.json"], ["config.json", "training_args.bin"]])
def test_other_names_say_nothing(names: list[str]) -> None:
    assert fault_of(names) is None


def test_a_folder_is_checked_by_its_names(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"is not a folder here; expected one with config.json"):
        check_folder(tmp_path / "none")
    with pytest.raises(Refusal, match=r"has no config.json"):
        check_folder(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    check_folder(str(tmp_path))
    (tmp_path / "pytorch_model.bin").write_text("")
    with pytest.raises(Refusal, match=f"encoder '{tmp_path}' has its weights only in a pickled"):
        check_folder(tmp_path)


def test_only_what_is_read_is_copied(tmp_path: Path) -> None:
    """The hub's cache has links, of which the bytes are copied."""
    source, blob = tmp_path / "source", tmp_path / "blob"
    blob.write_text("weights")
    (source / "onnx").mkdir(parents=True)
    for name in ("config.json", "vocab.txt", "pytorch_model.bin", "README.md", "onnx/a.json"):
        (source / name).write_text(name)
    (source / "model.safetensors").symlink_to(blob)
    copy_encoder(source, tmp_path / "deep" / "target")
    copied = {path.name: path for path in (tmp_path / "deep" / "target").iterdir()}
    assert sorted(copied) == ["config.json", "model.safetensors", "vocab.txt"]
    assert not copied["model.safetensors"].is_symlink()
    assert copied["model.safetensors"].read_text() == "weights"
