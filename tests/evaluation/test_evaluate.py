"""Scores by protocol, recomputed from recordings: the shipped ones exactly, and by hand on a few clips."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from golden.make import RATE, voice

import ser
from ser.datasets.corpora import load_corpus
from ser.datasets.splits import RAVDESS_FOLDS
from ser.evaluation.evaluate import evaluate
from ser.inference.artifact import ARTIFACTS, read_manifest, verify
from ser.inference.recognizer import Recognizer
from ser.metrics import uar
from ser.reporting.model_card import card
from ser.training.adaptation import adapted_draws
from ser.types import EMOTIONS, LABEL_SETS, ArtifactError, Clip, ParameterError

SHIPPED = ARTIFACTS / "dense105"
MANIFEST = read_manifest(SHIPPED)
FIELDS = [
    "corpus",
    "model",
    "protocol",
    "clips",
    "speakers",
    "labels",
    "accuracy",
    "uar",
    "macro_f1",
    "recall",
    "confusion",
    "excluded",
    "errors",
    "seen_in_training",
]


def links(clips: list[Clip], folder: Path) -> Path:
    folder.mkdir()
    for clip in clips:
        (folder / Path(clip.path).name).symlink_to(clip.path)
    return folder


@pytest.fixture(scope="module")
def few(ser_data, tmp_path_factory) -> Path:
    """Two takes of every emotion by three actors of RAVDESS, who stand in three folds."""
    found = load_corpus("ravdess", ser_data).clips
    taken = [clip for clip in found if clip.speaker in ("ravdess/01", "ravdess/08", "ravdess/24")]
    chosen = [clip for clip in taken if Path(clip.path).stem[12:17] == "01-01" or "calm" in clip.emotion]
    return links(chosen, tmp_path_factory.mktemp("few") / "ravdess")


@pytest.fixture(scope="module")
def german(ser_data, tmp_path_factory) -> Path:
    """Every second clip of three speakers of EMO-DB, boredom too."""
    files = sorted(Path(ser_data, "emodb").rglob("*.ogg"))
    chosen = [Clip(str(path), "", "", "") for path in files if path.name[:2] in ("03", "08", "16")][::2]
    return links(chosen, tmp_path_factory.mktemp("german") / "emodb")


def run(corpus: str, data: Path, protocol: str, labels: str = "eight", model: Any = "dense105") -> dict[str, Any]:
    return evaluate(corpus, data, model, protocol, labels, progress=False)


def by_hand(recognizer: Recognizer, clips: list[Clip], labels: list[str]) -> np.ndarray:
    """The confusion matrix, from one answer after the other."""
    matrix = np.zeros((len(labels), len(labels)), int)
    for clip in clips:
        if clip.emotion in labels:
            answer = recognizer.predict(clip.path).probabilities
            matrix[labels.index(clip.emotion), np.argmax([answer[label] for label in labels])] += 1
    return matrix


# --- The shipped model ---


@pytest.mark.data
@pytest.mark.parametrize("protocol", ["folds", "random"])
def test_stored_scores_are_recomputed_exactly(ser_data, protocol):
    stored, found = MANIFEST["metrics"][protocol], run("ravdess", ser_data, protocol)
    for key in ("clips", "speakers", "confusion", "recall", "uar", "accuracy", "macro_f1", "neutral_calm_merged"):
        assert found[key] == stored[key], key
    assert list(found["uar_interval"]) == stored["uar_interval"]
    assert found["calibration_error"] == pytest.approx(stored["calibration_error"], abs=1e-4)
    assert found["errors"] == [] and found["excluded"] == {} and found["seen_in_training"] is False
    assert found["labels"] == list(EMOTIONS) and np.sum(found["confusion"]) == found["clips"]
    assert ("inflated by shared speakers" in found["note"]) is (protocol == "random")
    if protocol == "folds":
        assert (found["clips"], found["speakers"]) == (1440, 24)
        assert stored["uar_interval"][0] < found["uar"] < stored["uar_interval"][1]


def test_shipped_folds_are_the_published_ones():
    tested = [set(fold["test"]) for fold in MANIFEST["folds"]]
    assert tested == [{f"ravdess/{actor:02d}" for actor in fold} for fold in RAVDESS_FOLDS]
    assert len({file for fold in MANIFEST["folds"] for file in fold["files"]}) == 6


def test_shipped_random_split_shares_its_speakers_and_says_so():
    tested = MANIFEST["random"]["test"]
    assert len(tested) == len(set(tested)) == 288
    assert len({name.rsplit("/", 1)[0] for name in tested}) == 24
    assert MANIFEST["metrics"]["random"]["note"] == "inflated by shared speakers"


def test_shipped_seeds_were_fixed_and_their_mean_is_told():
    folds = MANIFEST["metrics"]["folds"]
    assert len(folds["seeds"]) == len(MANIFEST["training"]["config"]["seeds"]) == 3
    assert folds["uar_mean_of_seeds"] == pytest.approx(np.mean([seed["uar"] for seed in folds["seeds"]]))
    assert folds["seeds"][0]["uar"] == folds["uar"]  # the first seed is the one whose graphs are stored


def test_shipped_scores_and_card_say_what_the_manifest_says():
    assert json.loads((SHIPPED / "metrics.json").read_text()) == MANIFEST["metrics"]
    text = (SHIPPED / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert text == card({key: value for key, value in MANIFEST.items() if key != "files"})
    for figure in ("confusion", "recall", "speakers", "training"):
        assert f"figures/{figure}.png" in text and (SHIPPED / "figures" / f"{figure}.png").stat().st_size > 5000
    assert "CC BY-NC-SA 4.0" in text and "non-commercial" in text and "62.4 %" in text


# --- A few clips ---


@pytest.mark.data
def test_fields_are_the_contract(few):
    for protocol in ("folds", "all"):
        found = run("ravdess", few, protocol)
        assert [key for key in found if key in FIELDS] and set(FIELDS) <= set(found)
        assert (found["corpus"], found["model"], found["protocol"]) == ("ravdess", "dense105", protocol)
        assert json.loads(json.dumps(found))["confusion"] == found["confusion"]
        assert list(found["recall"]) == found["labels"] == list(EMOTIONS)
        assert found["speakers"] == 3 and found["clips"] == np.sum(found["confusion"])
        assert found["uar"] == pytest.approx(np.mean(list(found["recall"].values())))


@pytest.mark.data
def test_every_speaker_is_answered_by_the_fold_that_never_heard_it(few):
    artifact, clips = verify(SHIPPED), load_corpus("ravdess", few).clips
    matrices = []
    for fold in MANIFEST["folds"]:
        recognizer = Recognizer(artifact, fold)
        matrices.append(by_hand(recognizer, [clip for clip in clips if clip.speaker in fold["test"]], list(EMOTIONS)))
    found = run("ravdess", few, "folds")
    assert found["confusion"] == sum(matrices).tolist() and not found["seen_in_training"]


@pytest.mark.data
def test_all_on_the_training_corpus_says_that_it_was_seen(few):
    found = run("ravdess", few, "all")
    expected = by_hand(ser.load("dense105"), load_corpus("ravdess", few).clips, list(EMOTIONS))
    assert found["seen_in_training"] is True and found["confusion"] == expected.tolist()


@pytest.mark.data
def test_adapted_answers_are_those_of_an_adapted_recogniser(german):
    """Some labels of the corpus are not shared, and are drawn but not scored."""
    found = evaluate("emodb", german, "dense105", "all", "six", adapt=10, progress=False)
    recognizer, clips, labels = Recognizer(verify(SHIPPED)), load_corpus("emodb", german).clips, found["labels"]
    analyses = [recognizer.analyse(clip.path) for clip in clips]
    for key, by, n_clips in (("adapted", "corpus", 10), ("calibrated", "speaker", 5)):
        matrix = np.zeros((len(labels), len(labels)), int)
        for _, drawn, rest in adapted_draws(clips, n_clips, by=by):
            adapted = recognizer.calibrated_to([analyses[index] for index in drawn])
            for index in rest:
                if clips[index].emotion in labels:
                    answer = adapted.answer(analyses[index]).probabilities
                    matrix[labels.index(clips[index].emotion), np.argmax([answer[label] for label in labels])] += 1
        assert found[key]["with"] == pytest.approx(uar(matrix)) and found[key]["clips"] == n_clips
    assert found["adapted"]["with"] != found["adapted"]["without"]


@pytest.mark.data
def test_adaptation_to_more_clips_than_there_are(few):
    with pytest.raises(ParameterError, match=r"--adapt 5000 scores the clips .+ more than 5000 are needed, found \d+"):
        evaluate("ravdess", few, "dense105", "all", adapt=5000, progress=False)


@pytest.mark.data
def test_speakers_of_few_clips_have_no_calibrated_score(ser_data, tmp_path):
    for speaker in ("01", "02", "03"):
        (tmp_path / f"Actor_{speaker}").mkdir()
        for path in sorted(Path(ser_data, "ravdess", f"Actor_{speaker}").iterdir())[::12]:
            (tmp_path / f"Actor_{speaker}" / path.name).symlink_to(path)
    found = evaluate("ravdess", tmp_path, "dense105", "all", adapt=10, progress=False)
    assert found["clips"] == 15 and found["calibrated"] is None and 0 <= found["adapted"]["with"] <= 1


@pytest.mark.data
def test_adaptation_without_stored_graphs_is_refused_before_the_training(german):
    with pytest.raises(ParameterError, match="--adapt needs the model's stored graphs"):
        evaluate("emodb", german, "dense105", "folds", adapt=10, progress=False)


@pytest.mark.data
def test_random_asks_only_for_clips_that_were_left_out(few):
    tested = set(MANIFEST["random"]["test"])
    kept = [clip for clip in load_corpus("ravdess", few).clips if f"{clip.speaker}/{Path(clip.path).stem}" in tested]
    found = run("ravdess", few, "random")
    assert found["clips"] == len(kept) > 0
    recognizer = Recognizer(verify(SHIPPED), MANIFEST["random"])
    assert found["confusion"] == by_hand(recognizer, kept, found["labels"]).tolist()


@pytest.mark.data
def test_another_corpus_is_scored_over_the_shared_labels(german):
    found = run("emodb", german, "all")
    listing = load_corpus("emodb", german)
    shared = ["neutral", "happy", "sad", "angry", "fearful", "disgust"]
    assert found["labels"] == shared and found["seen_in_training"] is False
    assert found["excluded"] == listing.excluded == {"boredom": listing.excluded["boredom"]}
    assert found["clips"] + found["excluded"]["boredom"] == len(list(german.iterdir()))
    # Renormalised: calm and surprised are no answers here, so none is lost to them.
    assert found["confusion"] == by_hand(ser.load("dense105"), listing.clips, shared).tolist()


@pytest.mark.data
@pytest.mark.parametrize("labels", LABEL_SETS)
def test_label_sets(german, labels):
    found = run("emodb", german, "all", labels)
    listing = load_corpus("emodb", german)
    counts = Counter(clip.emotion for clip in listing.clips)
    shared = [label for label in LABEL_SETS[labels] if counts[label]]
    assert found["labels"] == shared
    left_out = {label: count for label, count in counts.items() if label not in shared}
    assert found["excluded"] == {**left_out, **listing.excluded}
    assert found["clips"] == sum(counts[label] for label in shared)
    assert found["confusion"] == by_hand(ser.load("dense105"), listing.clips, shared).tolist()


@pytest.mark.data
def test_an_unreadable_clip_is_an_error_not_a_wrong_answer(few, tmp_path):
    clips = load_corpus("ravdess", few).clips
    folder = links(clips, tmp_path / "ravdess")
    broken = folder / "03-01-05-02-02-02-08.wav"
    broken.write_bytes(b"not a sound")
    for protocol in ("folds", "all"):
        found = run("ravdess", folder, protocol)
        (error,) = found["errors"]
        assert error["file"].endswith(broken.name) and "this is text, not sound" in error["error"]
        assert found["clips"] == len(clips)


@pytest.mark.data
def test_labels_that_are_not_shared(few, tmp_path):
    clips = [clip for clip in load_corpus("ravdess", few).clips if clip.emotion in ("calm", "neutral")]
    folder = links(clips, tmp_path / "ravdess")
    with pytest.raises(ParameterError, match=r"dense105 and ravdess share no label of the four labels"):
        run("ravdess", folder, "all", "four")
    assert run("ravdess", folder, "all")["labels"] == ["neutral", "calm"]


# --- Names ---


@pytest.mark.parametrize(
    ("names", "error", "match"),
    [
        ({"protocol": "best"}, ParameterError, "Unknown protocol 'best'; known: folds, random, all"),
        ({"labels": "nine"}, ParameterError, "Unknown label set 'nine'; known: eight, seven, six, four"),
        ({"corpus": "iemocap"}, ParameterError, "Unknown corpus 'iemocap'; known: ravdess, nemo, tess"),
        ({"model": "gone"}, ArtifactError, "No model 'gone'.*known: .*dense105"),
    ],
    ids=["protocol", "labels", "corpus", "model"],
)
def test_unknown_names_list_the_known(tmp_path, names, error, match):
    with pytest.raises(error, match=match):
        run(**{"corpus": "ravdess", "data": tmp_path, "protocol": "all", **names})


def test_a_folder_without_recordings(tmp_path):
    with pytest.raises(ParameterError, match=r"No ravdess recordings .*ser download ravdess"):
        run("ravdess", tmp_path, "all")


# --- Tables ---


def recorded(folder: Path, speaker: str) -> Path:
    """Two clips of a speaker in a table."""
    folder.mkdir()
    rows = ["path\temotion\tspeaker"]
    for emotion, pitch_hz in (("happy", 220.0), ("sad", 110.0)):
        sf.write(folder / f"{emotion}.wav", voice(1.0, pitch_hz), RATE)
        rows.append(f"{emotion}.wav\t{emotion}\t{speaker}")
    (folder / "table.tsv").write_text("\n".join(rows), encoding="utf-8")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("speaker", "seen"), [("ema", True), ("nobody known", False)])
@pytest.mark.parametrize("corpus", ["table", "emotiontts", "mine"])
def test_speakers_of_a_model_that_was_trained_on_a_table_are_known_under_any_name(tmp_path, corpus, speaker, seen):
    model = shutil.copytree(ARTIFACTS / "dense105", tmp_path / "old")
    manifest = json.loads((model / "manifest.json").read_text())
    manifest["training"]["corpora"] = {"table": {"clips": 2, "speakers": ["table/ema"], "excluded": {}, "licence": ""}}
    (model / "manifest.json").write_text(json.dumps(manifest))
    report = evaluate(corpus, recorded(tmp_path / "calls", speaker), model, "all", progress=False)
    assert (report["clips"], report["seen_in_training"]) == (2, seen)
