"""The command `samples`, and the sentences."""

from __future__ import annotations

import json

from command_line import run

from ser.sentences import HINTS, SENTENCES
from ser.types import EMOTIONS, ParameterError


def test_samples():
    found = json.loads(run("samples", "--format", "json").stdout)
    assert found["sentences"] == {language: list(sentences) for language, sentences in SENTENCES.items()}
    assert tuple(found["hints"]) == EMOTIONS
    one = run("samples", "--language", "pl")
    assert all(sentence in one.stdout for sentence in SENTENCES["pl"]) and SENTENCES["de"][0] not in one.stdout
    assert all(hint.split()[0] in one.stdout for hint in HINTS.values())
    unknown = run("samples", "--language", "xx")
    assert isinstance(unknown.exception, ParameterError) and "known: en, de" in str(unknown.exception)


def test_sentences_are_there_in_equal_number_and_once_each():
    assert {len(sentences) for sentences in SENTENCES.values()} == {4} and len(SENTENCES) == 8
    every = [sentence for sentences in SENTENCES.values() for sentence in sentences]
    assert len(set(every)) == len(every) and all(sentence.endswith(".") for sentence in every)
