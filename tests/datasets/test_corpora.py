"""Corpora: every layout from tiny trees of real files, errors, and the counts of the real recordings."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from ser.datasets.corpora import CORPORA, load_corpus, recording_id
from ser.datasets.readers import canonical_emotion
from ser.training.feature_table import index_hash
from ser.types import EMOTIONS, ParameterError

RATE = 8000
EMOTIONTTS = "emotiontts_kr"


def write(path: Path, seed: int = 0, **options) -> Path:
    """Write a short recording, different for every seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, np.random.default_rng(seed).uniform(-0.5, 0.5, 80), RATE, **options)
    return path


def tree(root: Path, *names: str) -> Path:
    for seed, name in enumerate(names):
        write(root / name, seed)
    return root


def rows_of(corpus) -> list[tuple]:
    return [(Path(clip.path).name, clip.emotion, clip.speaker, clip.sex) for clip in corpus.clips]


# Three files of each corpus with the metadata in their names; the third does not belong to the corpus.
NAMED = {
    "ravdess": [
        ("Actor_01/03-01-05-02-01-02-01.wav", "angry", "01", "male", "strong", "Kids are talking by the door"),
        ("Actor_12/03-01-01-01-02-01-12.flac", "neutral", "12", "female", "normal", "Dogs are sitting by the door"),
        ("Actor_12/01-01-01-01-02-01-12.wav",),
    ],
    "tess": [
        ("OAF_Pleasant_surprise/OAF_back_ps.wav", "surprised", "OAF", "female", None, "Say the word back"),
        ("YAF_fear/YAF_dog_fear.wav", "fearful", "YAF", "female", None, "Say the word dog"),
        ("YAF_fear/dog.wav",),
    ],
    "emodb": [
        ("wav/03a01Fa.wav", "happy", "03", "male", None, "a01"),
        ("wav/16b10Wb.ogg", "angry", "16", "female", None, "b10"),
        ("wav/16b10Xb.wav",),
    ],
    "savee": [
        ("DC_sa01.wav", "sad", "DC", "male", None, "sa01"),
        ("KL/su15.wav", "surprised", "KL", "male", None, "su15"),
        ("other/su15.wav",),
    ],
    "cremad": [
        ("AudioWAV/1001_DFA_ANG_HI.wav", "angry", "1001", "male", "strong", "DFA"),
        ("AudioWAV/1002_IEO_HAP_XX.wav", "happy", "1002", None, None, "IEO"),
        ("AudioWAV/1002_IEO.wav",),
    ],
    "emovo": [
        ("f1/gio-f1-b1.wav", "happy", "f1", "female", None, "b1"),
        ("m3/rab-m3-n5.wav", "angry", "m3", "male", None, "n5"),
        ("m3/readme-m3.wav",),
    ],
}


def test_file_names_hold_speaker_emotion_sex_intensity_and_sentence(tmp_path):
    for name, ((first, *of_first), (second, *of_second), (other,)) in NAMED.items():
        root = tree(tmp_path / name, first, second, other)
        if name == "cremad":
            (root / "VideoDemographics.csv").write_text("ActorID,Age,Sex,Race,Ethnicity\n1001,51,Male,Caucasian,-\n")
        for folder in (root, tmp_path):  # its own folder, and a parent that holds it
            corpus = load_corpus(name, folder)
            by_path = {str(Path(clip.path).relative_to(root)): clip for clip in corpus.clips}
            assert sorted(by_path) == sorted([first, second])
            for path, (emotion, speaker, *about) in ((first, of_first), (second, of_second)):
                clip = by_path[path]
                assert (clip.corpus, clip.emotion, clip.speaker) == (name, emotion, f"{name}/{speaker}")
                assert [clip.sex, clip.intensity, clip.sentence] == about
                assert clip.language == CORPORA[name].language
            assert corpus.skipped == (other,)


def test_synonyms_fold_into_the_vocabulary():
    assert [canonical_emotion(word) for word in EMOTIONS] == list(EMOTIONS)
    words = "anger Happiness JOY sadness fear surprise ps pleasant_surprise neutrality calmness Disgusted"
    expected = "angry happy happy sad fearful surprised surprised surprised neutral calm disgust"
    assert [canonical_emotion(word) for word in words.split()] == expected.split()
    assert canonical_emotion(" Pleasant Surprise ") == "surprised"
    assert [canonical_emotion(word) for word in ("boredom", "", "기쁨")] == [None, None, None]


def test_boredom_is_left_out_and_counted_once(tmp_path):
    names = ("03a01Fa.wav", "03a01Wa.wav", "08a01La.wav", "09a01La.wav")
    tree(tmp_path, *names, *(f"copy/{name}" for name in names))
    corpus = load_corpus("emodb", tmp_path)
    assert corpus.excluded == {"boredom": 2}
    assert (len(corpus.clips), corpus.copies) == (2, 4)
    assert "2 boredom" in corpus.summary and "4 copies" in corpus.summary


def test_the_doubled_layout_is_reduced_by_file_name(tmp_path):
    names = [f"Actor_0{actor}/03-01-0{code}-01-01-01-0{actor}.wav" for actor in (1, 2) for code in (3, 4, 5)]
    single = rows_of(load_corpus("ravdess", tree(tmp_path / "single", *names)))
    doubled = tree(tmp_path / "doubled", *names, *(f"audio_speech_actors_01-24/{name}" for name in names))
    corpus = load_corpus("ravdess", doubled)
    assert rows_of(corpus) == single
    assert corpus.copies == len(names)
    assert not any("audio_speech" in clip.path for clip in corpus.clips)
    both = load_corpus("ravdess", doubled, keep_copies=True)
    assert len(both.clips) == 2 * len(names) and both.copies == 0
    assert len({recording_id(clip) for clip in both.clips}) == len(names)


def test_layout_does_not_change_the_order(tmp_path):
    names = [f"03-01-0{code}-01-01-01-{actor}.wav" for actor in ("01", "02", "24") for code in (8, 3)]
    flat = load_corpus("ravdess", tree(tmp_path / "flat", *names))
    nested = load_corpus("ravdess", tree(tmp_path / "nested", *(f"Actor_{name[18:20]}/{name}" for name in names)))
    assert rows_of(flat) == rows_of(nested) == sorted(rows_of(flat), key=lambda row: (row[2], row[0]))


def test_songs_give_way_to_speech(tmp_path):
    speech = ("Actor_01/03-01-03-01-01-01-01.wav", "Actor_01/03-01-04-01-01-01-01.wav")
    songs = ("Actor_01/03-02-03-01-01-01-01.wav", "Actor_01/03-02-04-01-01-01-01.wav")
    both = tree(tmp_path / "both", *speech, *songs)
    assert len(load_corpus("ravdess", both).clips) == 2
    assert load_corpus("ravdess", both).songs == 2
    assert len(load_corpus("ravdess", both, songs=True).clips) == 4
    assert len(load_corpus("ravdess", tree(tmp_path / "songs", *songs)).clips) == 2


def test_links_and_hidden_files(tmp_path):
    real = tree(tmp_path / "real", "Actor_01/03-01-03-01-01-01-01.wav", "Actor_01/03-01-04-01-01-01-01.wav")
    (real / "Actor_01" / "._03-01-05-01-01-01-01.wav").write_bytes(b"resource fork")
    (real / "Actor_01" / "loop").symlink_to(real)
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "Actor_01").symlink_to(real / "Actor_01")
    assert rows_of(load_corpus("ravdess", tmp_path / "linked")) == rows_of(load_corpus("ravdess", real))


def test_nemo_by_its_table_whatever_the_ending(tmp_path):
    tree(tmp_path, "samples/KS0_anger_1.ogg", "samples/MK0_happiness_2.ogg", "samples/extra.ogg")
    rows = [
        "file_id\temotion\traw_text\tnormalized_text\tspeaker_id\tgender\tage",
        "KS0_anger_1.wav\tanger\tAla.\tala\t        KS0\tmale\t23",
        "MK0_happiness_2.wav\thappiness\tKot.\tkot\t        MK0\tfemale\t25",
        "MK0_fear_3.wav\tfear\tPies.\tpies\t        MK0\tfemale\t25",
    ]
    (tmp_path / "data.tsv").write_text("\n".join(rows))
    for folder in (tmp_path, tmp_path / "samples"):
        corpus = load_corpus("nemo", folder)
        assert rows_of(corpus) == [
            ("KS0_anger_1.ogg", "angry", "nemo/KS0", "male"),
            ("MK0_happiness_2.ogg", "happy", "nemo/MK0", "female"),
        ]
        assert corpus.missing == ("MK0_fear_3.wav",)
        assert [Path(name).name for name in corpus.skipped] == ["extra.ogg"]
    (tmp_path / "data.tsv").write_text("\n".join([rows[0], rows[3]]))
    with pytest.raises(ParameterError, match=r"none of the 1 listed files, first MK0_fear_3\.wav"):
        load_corpus("nemo", tmp_path)
    (tmp_path / "data.tsv").unlink()
    with pytest.raises(ParameterError, match=r"needs its data\.tsv"):
        load_corpus("nemo", tmp_path)


@pytest.mark.parametrize(
    ("names", "emotions", "speakers"),
    [
        (("happy/anna/1.wav", "sad/ben/1.mp3"), {"happy", "sad"}, {"folder/anna", "folder/ben"}),
        (("anna/Joy/1.wav", "ben/sadness/1.wav"), {"happy", "sad"}, {"folder/anna", "folder/ben"}),
        (("all/joy/anna/1.wav", "all/sadness/ben/1.wav"), {"happy", "sad"}, {"folder/anna", "folder/ben"}),
        (("anger/1.wav", "fear/2.flac"), {"angry", "fearful"}, {"folder/all"}),
    ],
)
def test_a_folder_per_emotion(tmp_path, names, emotions, speakers):
    corpus = load_corpus("folder", tree(tmp_path, *names))
    assert set(corpus.speakers) == speakers
    assert len(corpus.clips) == 2
    assert {clip.emotion for clip in corpus.clips} == emotions


def test_a_folder_that_is_no_utf8_is_a_speaker_that_can_be_written(tmp_path):
    tree(tmp_path, "happy/b/1.wav", "sad/b/1.wav")
    for emotion in ("happy", "sad"):
        (tmp_path / emotion / "b").rename(tmp_path / emotion / "b\udcff")
    corpus = load_corpus("folder", tmp_path)
    assert {clip.speaker for clip in corpus.clips} == {r"folder/b\udcff"}
    assert len(index_hash(corpus.clips)) == 64


def test_other_names_at_the_emotions_level_are_excluded_labels(tmp_path):
    corpus = load_corpus("folder", tree(tmp_path, "happy/1.wav", "sad/1.wav", "boredom/1.wav", "loose.wav"))
    assert corpus.excluded == {"boredom": 1}
    assert corpus.skipped == ("loose.wav",)
    assert len(corpus.clips) == 2  # equal names in two folders are two recordings


def table(root: Path, text: str, name: str = "table.csv") -> Path:
    (root / name).write_text(text, encoding="utf-8-sig")
    return root


def test_a_table_with_all_columns(tmp_path):
    tree(tmp_path, "a/1.flac", "b/2.wav", "b/3.wav", "b/unlisted.wav")
    text = (
        "Path, Emotion ,speaker,sex,intensity,sentence,language\n"
        'a/1.wav,joy,007,F,normal,"Hello, you",en\n'
        "b\\2.wav,sad,ben,male,strong,,\n\n"
        "b/3.wav,boredom,ben,,,,\n"
    )
    corpus = load_corpus("table", table(tmp_path, text))
    first, second = corpus.clips
    assert (first.emotion, first.speaker, first.sex, first.intensity) == (
        "happy",
        f"{tmp_path.name}/007",
        "female",
        "normal",
    )
    assert (first.sentence, first.language) == ("Hello, you", "en")
    assert first.path.endswith("1.flac")
    assert (second.sex, second.intensity, second.sentence) == ("male", "strong", None)
    assert corpus.excluded == {"boredom": 1}
    assert corpus.skipped == ("b/unlisted.wav",)


def test_numbers_grade_intensity(tmp_path):
    tree(tmp_path, *(f"{number}.wav" for number in range(4)))
    rows = [f"{n}.wav\t{'joy' if n % 2 else 'anger'}\ta\t{value}" for n, value in enumerate(("1", "2", "3.5", ""))]
    table(tmp_path, "\n".join(["path\temotion\tspeaker\tintensity", *rows]), "table.tsv")
    assert [clip.intensity for clip in load_corpus("table", tmp_path).clips] == ["normal", "normal", "strong", None]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,emotion\n1.wav,joy", "lacks the column speaker; it has path, emotion"),
        ("path;emotion;speaker\n1.wav;joy;a", "separated by commas"),
        ("", "it has none"),
        ("path,emotion,speaker\n1.wav,joy,", "line 2 has no speaker"),
        ("path,emotion,speaker\n1.wav,joy,a\n3.wav,sad,a\n4.wav,sad,a", r"lists 2 of 3 files .* first 3\.wav, 4\.wav"),
        ("path,emotion,speaker\n../1.wav,joy,a", "line 2: '../1.wav' is outside"),
        ("path,emotion,speaker\n./,joy,a", r"line 2: '\./' is the table's folder, not a recording"),
        ("path,emotion,speaker\n/etc/1.wav,joy,a", "is outside the table's folder"),
        ("path,emotion,speaker\n1.wav,joy,a\n./1.wav,sad,b", "line 3: './1.wav' is listed already in line 2"),
        ("path,emotion,speaker,intensity\n1.wav,joy,a,loudish", "intensity 'loudish' is neither"),
        ("path,emotion,speaker\n1.wav,joy,a\n2.wav,happy,a", "All 2 table clips in .* are happy: .* at least two"),
        ("path,emotion,speaker\n1.wav,boredom,a", r"only labels outside the vocabulary \(boredom\)"),
    ],
)
def test_a_table_is_refused_with_its_reason(tmp_path, text, message):
    tree(tmp_path, "1.wav", "2.wav")
    with pytest.raises(ParameterError, match=message):
        load_corpus("table", table(tmp_path, text))


def test_a_table_that_is_not_text(tmp_path):
    (tree(tmp_path, "1.wav") / "table.csv").write_bytes(b"path,emotion,speaker\n\xff\xfe.wav,joy,a")
    with pytest.raises(ParameterError, match="cannot be read as a UTF-8 table"):
        load_corpus("table", tmp_path)
    (tmp_path / "table.csv").unlink()
    with pytest.raises(ParameterError, match=r"holds no table\.tsv or table\.csv"):
        load_corpus("table", tmp_path)


@pytest.mark.parametrize("name", CORPORA)
def test_a_folder_without_recordings_is_described(tmp_path, name):
    with pytest.raises(ParameterError, match="no such folder"):
        load_corpus(name, tmp_path / "nowhere")
    with pytest.raises(ParameterError, match=f"No {name} recordings .* looked for .* found an empty folder"):
        load_corpus(name, tmp_path)
    (tmp_path / "readme.txt").write_text("x")
    with pytest.raises(ParameterError, match=r"found no sound file, only readme\.txt"):
        load_corpus(name, tmp_path)


def test_errors_name_files_of_another_kind(tmp_path):
    tree(tmp_path, "one.wav", "two.wav")
    message = r"found 2 sound files of another kind, first one\.wav, two\.wav\. .*ser download ravdess"
    with pytest.raises(ParameterError, match=message):
        load_corpus("ravdess", tmp_path)
    with pytest.raises(ParameterError, match="It is published at http"):
        load_corpus("tess", tmp_path)
    with pytest.raises(ParameterError, match="Unknown corpus 'iemocap'; known: ravdess, nemo"):
        load_corpus("iemocap", tmp_path)


@pytest.mark.data
def test_the_real_corpora_have_their_counts(ser_data):
    ravdess = load_corpus("ravdess", ser_data)
    assert Counter(clip.emotion for clip in ravdess.clips) == dict.fromkeys(EMOTIONS, 192) | {"neutral": 96}
    assert set(Counter(clip.speaker for clip in ravdess.clips).values()) == {60}
    assert len(ravdess.speakers) == 24 and not ravdess.skipped
    nemo = load_corpus("nemo", ser_data)
    assert (len(nemo.clips), len(nemo.speakers), len({clip.emotion for clip in nemo.clips})) == (2246, 9, 6)
    assert not nemo.missing and not nemo.skipped
    emodb = load_corpus("emodb", ser_data)
    assert (len(emodb.clips), len(emodb.speakers), emodb.excluded) == (454, 10, {"boredom": 81})
    korean = load_corpus("table", ser_data / EMOTIONTTS)
    assert (len(korean.clips), len(korean.speakers), len({clip.emotion for clip in korean.clips})) == (300, 15, 4)
    assert len(load_corpus("ravdess", ser_data / "ravdess_original").clips) == 9


def test_tables_are_corpora_of_their_own_names(tmp_path):
    text = "path,emotion,speaker\na/1.wav,joy,ben\na/2.wav,sad,unknown\n"
    for name in ("first", "second"):
        table(tree(tmp_path / name, "a/1.wav", "a/2.wav"), text)
    named = [load_corpus("mine", tmp_path / "first"), load_corpus("second", tmp_path)]
    assert [corpus.corpus for corpus in named] == ["mine", "second"]
    assert [corpus.speakers for corpus in named] == [["mine/ben", "mine/unknown"], ["second/ben", "second/unknown"]]
    assert load_corpus("table", tmp_path / "first").speakers == ["first/ben", "first/unknown"]
    with pytest.raises(ParameterError, match="Unknown corpus 'third'"):
        load_corpus("third", tmp_path)
    with pytest.raises(ParameterError, match="Unknown corpus"):
        load_corpus("../first", tmp_path)


def test_a_table_never_takes_the_name_of_a_corpus_of_another_kind(tmp_path):
    text = "path,emotion,speaker\n1.wav,joy,a\n2.wav,sad,a"
    for name, expected in (("ravdess", "table"), ("turev", "turev"), ("mine", "mine")):
        assert load_corpus("table", table(tree(tmp_path / name, "1.wav", "2.wav"), text)).corpus == expected
