"""Plans: what they make of a file, and every fault told before anything trains."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_comparison import FIELDS, SYSTEMS, stand_in, write_plan

from ccfpse.checkpoint import Model, save_tensors
from ccfpse.compare import Comparison
from ccfpse.compare.check import check
from ccfpse.compare.share import Share, take_share
from ccfpse.data import PairedTransform, open_dataset
from ccfpse.features import MissingWeights, PerceptualFeatures, find_weights
from ccfpse.features.stacks import STACKS
from ccfpse.presets import resolve
from ccfpse.training import loop
from ccfpse.training.report import RunFolder
from shared_files import REPOSITORY
from training.tiny_data import write_data


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_data(tmp_path_factory.mktemp("data"))
    return write_data(root, "val", seed=1)


@pytest.fixture(scope="module", autouse=True)
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        stand_in(patch, tmp_path_factory.mktemp("cache"))
        yield


def load(tmp_path: Path, default: Path, /, **changes: Any) -> Comparison:
    return Comparison.load(write_plan(tmp_path / "plan.yaml", default, tmp_path / "out", **changes))


def test_runs_differ_in_nothing_but_what_they_say(tmp_path: Path, data: Path) -> None:
    plan = load(tmp_path, data, seeds=[3, 5], fields=FIELDS | {"generator.gates": False})
    assert [(run.system.name, run.seed, run.folder.name) for run in plan.runs] == [
        ("CC + FPSE", 3, "cc-fpse-seed3"),
        ("pix2pixHD + MsPatch", 3, "pix2pixhd-mspatch-seed3"),
        ("CC + FPSE", 5, "cc-fpse-seed5"),
        ("pix2pixHD + MsPatch", 5, "pix2pixhd-mspatch-seed5"),
    ]
    cc, hd, again, _ = (run.config for run in plan.runs)
    assert (cc.generator.kind, cc.generator.gates, cc.generator.width) == ("cc", False, 2)
    assert (hd.generator.kind, hd.generator.width, hd.generator.blocks) == ("pix2pixhd", 2, 1)
    assert (hd.discriminator.kind, hd.discriminator.width) == ("ms_patch", 2)
    assert again == cc.override({"seed": 5})
    for config in (cc, hd):
        assert (config.images, config.batch, config.data.size, config.seed) == (12, 2, (64, 64), 3)
        assert config.optimiser == resolve("facades", None, {}).optimiser


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sytems": {}}, "no key 'sytems' in a comparison; did you mean 'systems'?"),
        ({"data": None}, "data is None, expected a folder; give it here or --data"),
        ({"preset": "facade"}, "no preset 'facade'; did you mean 'facades'?"),
        ({"fields": {"generator.widht": 3}}, "no field 'generator.widht' .* did you mean 'generator.width'?"),
        ({"fields": {"images": 3}}, "give the key images of the file"),
        ({"fields": {"seed": 3}}, "give the key seeds of the file"),
        ({"fields": [3]}, r"fields is \[3\], expected a mapping"),
        ({"images": 13}, "system 'CC . FPSE': images is 13, no multiple of its batch 2"),
        ({"images": "many"}, "images is 'many', expected a whole number"),
        ({"seeds": 2}, "seeds is 2, expected a list of different whole numbers"),
        ({"seeds": [1, 1]}, r"seeds is \[1, 1\], expected a list of different"),
        ({"seeds": []}, "seeds is"),
        ({"systems": {}}, "systems is empty"),
        ({"systems": {"A": {"generator.widht": 3}}}, "system 'A': no field 'generator.widht'"),
        ({"systems": {"A": {"generator.kind": "stylegan"}}}, "system 'A': generator.kind is 'stylegan'"),
        ({"systems": {"A": {"data.size": 32}}}, "system 'A': data.size must be equal for all systems"),
        ({"systems": {"A": {"images": 24}}}, "system 'A': images must be equal"),
        ({"systems": {"A": {"start_from": "facades"}}}, "system 'A': start_from must be equal"),
        ({"systems": {"A": None, "B": {"generator.kind": "cc"}}}, "'A' and 'B' have equal configs"),
        ({"systems": {"A b": None, "a-B": {"batch": 1}}}, "'A b' and 'a-B' would share a folder"),
        ({"systems": {"…": None}}, "system '…': expected a name with letters or digits"),
        ({"systems": {3: None}}, "system 3: expected a name"),
        (
            {"evaluation": {"segmentor": "own"}},
            "no field 'segmentor' in the section evaluation; .*'segmenter'",
        ),
        ({"evaluation": {"style": "random"}}, "style is 'random', expected prior or reference or none"),
    ],
)
def test_faults_of_the_file(tmp_path: Path, data: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        load(tmp_path, data, **changes)
    assert str(caught.value).startswith(f"{tmp_path / 'plan.yaml'}: ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("systems:\n  A: {batch: 1}\n  A: {batch: 2}\n", "line 3: 'A' is given twice"),
        ("systems: [", "cannot be read as YAML"),
        ("systems", "expected a mapping with data, out, preset"),
    ],
)
def test_faults_of_the_text(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match=message):
        Comparison.load(file)
    with pytest.raises(ValueError, match=r"absent.yaml: cannot be read \(No such file"):
        Comparison.load(tmp_path / "absent.yaml")


SMALL = FIELDS | {"data": {"size": 32, "load_size": 40, "workers": 0}}
INSTANCE_NORM = {"CC + FPSE": {"discriminator.norm": "instance"}}
DEEP = {"deep": SYSTEMS["pix2pixHD + MsPatch"] | {"generator.halvings": 6}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": "absent"}, "absent: no such folder"),
        ({"evaluation": {"split": "test"}}, "no split 'test'"),
        ({"evaluation": {"limit": 4}}, "needs 8 real photos at least, got 4"),
        ({"evaluation": {"styles": 0}}, "evaluation: styles must be 1 at least, got 0"),
        (
            {"evaluation": {"style": "reference", "styles": 4}},
            "evaluation: styles is 4 with style 'reference', but only style 'prior' gives more .* choose 1",
        ),
        (
            {"evaluation": {"protocol": "paper", "styles": 4}},
            "evaluation: styles is 4 with style 'reference'",
        ),
        ({"evaluation": {"seed": -1}}, "evaluation: seed must be 0 or more, got -1"),
        (
            {"fields": FIELDS | {"start_from": "facade"}},
            "system 'CC . FPSE': start_from: facade: no such model; give",
        ),
        ({"evaluation": {"batch": 17}}, "evaluation: batch is 17"),
        ({"evaluation": {"device": "warp"}}, "evaluation: device 'warp' cannot be used"),
        ({"evaluation": {"segmenter": "absent.safetensors"}}, "absent.safetensors"),
        ({"fields": FIELDS | {"data.instances": True}}, "no instances in train, but the networks"),
        (
            {"systems": DEEP},
            "system 'deep' does not run on batches of 2 at 64×64: size 64×64 .* multiples of 128",
        ),
        # five halvings of 32 pixels leave one, which instance norm cannot do with
        (
            {"fields": SMALL, "systems": INSTANCE_NORM},
            "system 'CC . FPSE' does not run on batches of 2 at 32×32: Expected more than 1 spatial element",
        ),
    ],
)
def test_faults_of_what_the_file_names(
    tmp_path: Path, data: Path, changes: dict[str, Any], message: str
) -> None:
    plan = load(tmp_path, data, **changes)
    with pytest.raises((ValueError, OSError), match=message):
        check(plan)
    assert not plan.out.exists()


def test_evaluations_that_can_be_made_are_no_faults(tmp_path: Path, data: Path) -> None:
    for choices in ({"protocol": "paper"}, {"style": "reference"}, {"protocol": "paper", "styles": 1}):
        check(load(tmp_path, data, evaluation=choices))


def test_a_model_to_start_from_fits_every_system(tmp_path: Path, data: Path) -> None:
    model = tmp_path / "model.safetensors"
    pix2pixhd = load(tmp_path, data).systems[1].config
    dataset = open_dataset(data, "train", PairedTransform(pix2pixhd.data.size))
    Model(loop.build(pix2pixhd, dataset).generator, None, dataset.label_space).save(model)
    fields = FIELDS | {"start_from": str(model)}
    check(load(tmp_path, data, fields=fields, systems={"HD": SYSTEMS["pix2pixHD + MsPatch"]}))
    plan = load(tmp_path, data, fields=fields)
    with pytest.raises(ValueError, match=r"system 'CC \+ FPSE': start_from: .*model.safetensors: none of"):
        check(plan)
    for number, run in enumerate(plan.runs):  # which do not read it any more
        run.folder.mkdir(parents=True)
        (run.result if number else RunFolder(run.folder).state).touch()
    check(plan)


def begun(tmp_path: Path, data: Path, vgg: str | None) -> Comparison:
    """A comparison of one run, which has begun with features of this VGG."""
    plan = with_vgg(tmp_path, data, "old.pth")
    (run,) = plan.runs
    folder = RunFolder(run.folder)
    folder.root.mkdir(parents=True)
    folder.config.write_text(json.dumps(run.config.to_dict()))
    save_tensors(folder.state, {}, {"images": 4, "vgg": vgg})
    return plan


def with_vgg(tmp_path: Path, data: Path, file: str | None, batch: int = 2) -> Comparison:
    fields = FIELDS | {"loss.perceptual": 1, "loss.vgg": file, "batch": batch}
    return load(tmp_path, data, fields=fields, seeds=[0], systems={"CC": None})


def test_a_begun_run_keeps_its_vgg(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "ccfpse.compare.check.load_vgg", lambda file: PerceptualFeatures(STACKS[Path(file).stem])
    )
    plan = begun(tmp_path, data, "vgg16")
    check(plan)
    check(with_vgg(tmp_path, data, "elsewhere/vgg16.pth"))
    for file, now in (("vgg19.pth", "vgg19.pth, vgg19"), (None, "the default, vgg19")):
        with pytest.raises(
            ValueError, match=f"CC, seed 0 began otherwise .* loss.vgg is {now}, but was vgg16"
        ):
            check(with_vgg(tmp_path, data, file))
    save_tensors(RunFolder(plan.runs[0].folder).state, {}, {"images": 4, "vgg": None})
    check(with_vgg(tmp_path, data, "vgg19.pth"))  # not known to be another


@pytest.mark.parametrize("left", ["state", "model", "result"])
def test_a_run_is_held_to_its_config_by_all_that_it_leaves(tmp_path: Path, data: Path, left: str) -> None:
    plan = begun(tmp_path, data, None)
    (run,) = plan.runs
    folder = RunFolder(run.folder)
    folder.state.rename({"state": folder.state, "model": folder.model, "result": run.result}[left])
    with pytest.raises(ValueError, match=r"CC, seed 0 began otherwise .* batch is 1 but was 2"):
        check(with_vgg(tmp_path, data, "old.pth", batch=1))


def test_missing_weights_are_a_fault(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ccfpse.compare.check.find_weights", find_weights)
    with pytest.raises(MissingWeights, match="absent: no such file or folder; expected inception weights"):
        check(load(tmp_path, data, evaluation={"weights": str(tmp_path / "absent")}))


@pytest.mark.slow
def test_the_example_is_the_paper_and_its_reviewers(tmp_path: Path, data: Path) -> None:
    plan = Comparison.load(
        REPOSITORY / "examples" / "compare-facades.yaml", data=str(data), out=tmp_path / "out"
    )
    made = {
        (
            system.config.generator.kind,
            getattr(system.config.generator, "gates", None),
            getattr(system.config.generator, "layout_pyramid", None),
            system.config.discriminator.kind,
            system.config.loss.feature_matching,
        )
        for system in plan.systems
    }
    assert made == {
        ("cc", True, True, "fpse", 20.0),
        ("cc", True, True, "ms_patch", 10.0),
        ("cc", True, True, "fp", 20.0),
        ("cc", False, True, "fpse", 20.0),
        ("cc", True, False, "fpse", 20.0),
        ("spade", None, False, "fpse", 20.0),
        ("spade", None, False, "ms_patch", 10.0),
        ("spade", None, True, "fpse", 20.0),
        ("pix2pixhd", None, None, "fpse", 20.0),
        ("pix2pixhd", None, None, "ms_patch", 10.0),
    }
    assert all(system.config.data.size == (64, 64) for system in plan.systems)
    costs = check(plan)
    assert costs["CC + FPSE"].parameters > costs["CC without pyramid + FPSE"].parameters
    assert costs["CC + FPSE"] == costs["CC + FP"]


def test_a_process_of_torchrun_takes_one_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    assert take_share() == Share(0, 1)

    def start(rank: int, local: int) -> None:
        for name, value in (("RANK", rank), ("WORLD_SIZE", 4), ("LOCAL_RANK", local)):
            monkeypatch.setenv(name, str(value))

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    start(3, 1)
    assert take_share() == Share(3, 4)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "6"
    assert "WORLD_SIZE" not in os.environ  # the training is none of several processes
    start(2, 2)
    with pytest.raises(ValueError, match="process 2 of this host has no GPU of its own: there are 2"):
        take_share()
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    start(2, 2)
    assert take_share() == Share(2, 4)
