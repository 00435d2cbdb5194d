"""Wording of an answer: headline, doubts and scales as short sentences, from its numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from ser.page.texts import Texts
from ser.types import MIN_USED_S, Prediction, Segment

MARKS = re.compile(r"[\\`*_{}\[\]()<>#+.!~$:|-]")  # of Markdown
Certainty = Literal["sure", "probably", "two", "hard", "none"]

# Calibrated probabilities mean what the words say: "probably" is right more often than not, clearly.
SURE_FROM = 0.8  # of the first label, if the answer is not uncertain: nobody calls 60 % sure
PROBABLY_FROM = 0.6
TWO_FROM = 0.6  # of the first two together
STRANGE_FROM = 0.95  # threshold of sure answers, which hardly any reaches
ENOUGH = 30  # answers of which a share that is right is told
LEANING_FROM = 0.05  # by which the first of two labels leads
NAMED_MOST = 3  # labels that "hard to say" names
SURENESS = ((0.9, "answer.very"), (0.75, "answer.fairly"), (0.0, "answer.not_very"))
SEX_NAMED = 0.6  # probability from which on a voice is said to sound female or male
INTENSITIES = ((0.9, "strong"), (0.65, "rather"), (0.35, "between"), (0.0, "normal"))
# If one of these is among the reasons, no emotion is named; the first that applies is the headline.
UNNAMED = ("silent", "too_short", "unlike_training")
# Reasons and faults of the recording, causes before effects.
CAUSES = ("cut_off", "silent", "too_short", "unlike_training", "offset", "hum", "clipped", "close_call")


class Headline(NamedTuple):
    """The answer in words; `labels` are those that it names."""

    certainty: Certainty
    eyebrow: str
    title: str
    subtitle: str
    labels: tuple[str, ...]


def ranked(prediction: Prediction) -> list[tuple[str, float]]:
    """Return emotions and probabilities, the most likely first."""
    return sorted(prediction.probabilities.items(), key=lambda item: -item[1])


def is_unnamed(prediction: Prediction) -> bool:
    """Return whether the answer is so doubtful that no emotion is named."""
    return any(reason in UNNAMED for reason in prediction.reasons)


def is_sure(answer: Prediction | Segment) -> bool:
    """Return whether the label of an answer or a segment stands without a "probably"."""
    return not answer.uncertain and answer.confidence >= SURE_FROM


def certainty(prediction: Prediction) -> Certainty:
    """Return how much of an answer may be said: one name, one probable, two, hardly any, none."""
    if is_unnamed(prediction):
        return "none"
    (_, first), (_, second) = ranked(prediction)[:2]
    if is_sure(prediction):
        return "sure"
    if not prediction.uncertain or first >= PROBABLY_FROM:
        return "probably"
    return "two" if first + second >= TWO_FROM else "hard"


def named(prediction: Prediction) -> tuple[str, ...]:
    """Return the labels that the headline names, the most likely first: up to three, none without an emotion."""
    count = {"none": 0, "sure": 1, "probably": 1, "two": 2, "hard": NAMED_MOST}[certainty(prediction)]
    return tuple(label for label, _ in ranked(prediction)[:count])


def headline(prediction: Prediction, texts: Texts) -> Headline:
    """Return the headline of an answer."""
    certain = certainty(prediction)
    if certain == "none":
        reason = next(reason for reason in UNNAMED if reason in prediction.reasons)
        subtitle = {
            "silent": texts("answer.nothing"),
            "too_short": texts("answer.of_sound", seconds=texts.seconds(sound_s(prediction))),
            "unlike_training": texts("answer.no_emotion"),
        }[reason]
        return Headline(certain, texts("answer.none"), texts(f"answer.{reason}"), subtitle, ())
    labels, shares = zip(*ranked(prediction)[:NAMED_MOST], strict=True)
    names, share = [texts.emotion(label) for label in labels], texts.percent(shares[0])
    leaning = texts("answer.leaning", label=names[0]) if shares[0] > shares[1] + LEANING_FROM else ""
    title, subtitle = {
        "sure": (names[0], texts("answer.sure", share=share)),
        "probably": (texts("answer.probably", label=names[0]), texts("answer.share", share=share)),
        "two": (texts("answer.two", first=names[0], second=names[1]), leaning),
        "hard": (texts("answer.hard"), texts.either(names)),
    }[certain]
    eyebrow = texts("answer.undecided" if certain == "hard" else "answer.sounds")
    return Headline(certain, eyebrow, capitalised(title), subtitle, named(prediction))


def capitalised(text: str) -> str:
    """Return a text with a capital first letter; the rest stays."""
    return text[:1].upper() + text[1:]


def sound_s(prediction: Prediction) -> float:
    """Return the seconds of sound, rounded down so that too little never reads as enough."""
    return math.floor(10 * prediction.sound_s + 1e-6) / 10


def doubts(prediction: Prediction, texts: Texts) -> list[tuple[str, str]]:
    """Return problem and advice for each reason for doubt and fault of the recording, causes before effects.

    If no emotion is named, that the best one is not clear enough goes without saying.
    """
    present = {*prediction.reasons, *prediction.quality}
    if is_unnamed(prediction):
        present -= {"close_call"}
    values = {
        "length": texts.seconds(prediction.duration_s),
        "sound": texts.seconds(sound_s(prediction)),
        "least": texts.seconds(MIN_USED_S),
        "label": texts.emotion(prediction.label),
        "share": texts.percent(prediction.confidence),
        "sure": texts.percent(prediction.sure_from),
    }
    alone = {"offset", "hum"} if is_unnamed(prediction) else set()  # no answer that counts all the same
    problems = {"close_call": "stranger"} if is_stranger(prediction) else {}
    return [
        (
            texts(f"doubt.{problems.get(cause, cause)}", **values),
            texts(f"doubt.{cause}.{'alone' if cause in alone else 'help'}"),
        )
        for cause in CAUSES
        if cause in present
    ]


def is_stranger(prediction: Prediction) -> bool:
    """Return whether a recording is so unlike the training that hardly any answer about such is sure."""
    return prediction.sure_from >= STRANGE_FROM


def rate_right(prediction: Prediction, metrics: Mapping[str, Any], texts: Texts) -> str:
    """Say how many answers about strangers with such a confidence were right; empty if that was not scored."""
    reliability = metrics.get("left_out_sure", {}).get("reliability")
    if not reliability or not is_stranger(prediction):
        return ""
    bins = [
        (abs(mean - prediction.confidence), right) for mean, right, n in zip(*reliability, strict=True) if n >= ENOUGH
    ]
    return texts("doubt.rate", right=f"{10 * min(bins)[1]:.0f}") if bins else ""


def first_two(metrics: Mapping[str, Any], texts: Texts) -> str:
    """Say how often the truth was among the first two on unseen speakers and corpora; empty if it was not scored."""
    scores = [metrics.get("folds", {}), *metrics.get("left_out", {}).values()]
    shares = [score["top_two"] for score in scores if "top_two" in score]
    if not shares:
        return ""
    some, most = round(10 * min(shares)), round(10 * max(shares))
    return texts("doubt.first_two", share=str(most) if some == most else texts("doubt.range", some=some, most=most))


def sex(probabilities: Mapping[str, float], texts: Texts) -> str:
    """Say how the sex of a voice sounds: "sounds female, very sure"."""
    likelier = max(probabilities, key=probabilities.__getitem__)
    if probabilities[likelier] < SEX_NAMED:
        return texts("answer.either_sex")
    sure = next(key for least, key in SURENESS if probabilities[likelier] >= least)
    return texts("answer.sounds_sex", sex=texts(f"answer.{likelier}"), sure=texts(sure))


def intensity(strong: float, texts: Texts) -> str:
    """Say how strong an emotion sounds, from its probability of being strong."""
    return texts(f"answer.intensity_{next(word for least, word in INTENSITIES if strong >= least)}")


def used_part(prediction: Prediction, texts: Texts) -> str:
    """Say which part of the recording was judged, and how long it sounds."""
    (start, end), sound = prediction.used_s, prediction.sound_s
    if min(end - start, sound) > prediction.duration_s - 0.1:
        return texts("answer.used_all")
    return texts("answer.used", start=texts.number(start), end=texts.number(end), sound=texts.number(sound))


def source(name: str, texts: Texts) -> str:
    """Return what an answer is adapted to, in words."""
    return {"speaker": texts("answer.voice"), "source": texts("answer.source")}.get(name, name)


def as_markdown(text: str) -> str:
    """Return a visitor's text for a label that Streamlit takes as Markdown: it is shown as it stands."""
    return MARKS.sub(r"\\\g<0>", text)


def score(metrics: Mapping[str, Any], n_labels: int, human: float, texts: Texts) -> str:
    """Return the score on unseen speakers beside chance and listeners, and that on unseen corpora."""
    uar = metrics.get("folds", {}).get("uar")
    if not uar:
        return ""
    known = texts(
        "foot.score",
        score=texts.number(100 * uar, 0),
        guess=texts.number(100 / n_labels),
        human=texts.number(100 * human, 0),
    )
    unseen = [100 * scores["uar"] for scores in metrics.get("left_out", {}).values()]
    ranges = texts("foot.unseen", least=f"{min(unseen):.0f}", most=f"{max(unseen):.0f}") if unseen else ""
    return f"{known} {ranges}".strip()
