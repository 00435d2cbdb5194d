"""Answers in words: short, plain sentences with the numbers that stand behind them."""

from __future__ import annotations

import math
from collections.abc import Callable

from ser.types import MIN_USED_S, Prediction

SURENESS = ((0.9, "very sure"), (0.6, "fairly sure"), (0.0, "not very sure"))
CLOSE = 0.5  # of the best fit: a runner-up above this share is named beside it
TELLING = 0.6  # from this probability on a voice is said to sound female or male


def percent(probability: float) -> str:
    """A fraction without false precision: 0.7123 is "71 %"."""
    return f"{100 * probability:.0f} %"


def seconds(duration_s: float) -> str:
    """A duration without false precision: 0.3456 is "0.3 s"."""
    return f"{duration_s:.1f} s"


def sureness(confidence: float) -> str:
    """How sure an answer without doubt is."""
    return next(words for least, words in SURENESS if confidence >= least)


def used_s(prediction: Prediction) -> float:
    """Seconds left once silence at both ends is trimmed, rounded down: too little never reads as enough."""
    return math.floor(10 * (prediction.used_s[1] - prediction.used_s[0]) + 1e-6) / 10


def ranked(prediction: Prediction) -> list[tuple[str, float]]:
    """Emotions with their probabilities, the most likely first."""
    return sorted(prediction.probabilities.items(), key=lambda item: -item[1])


def unnamed(prediction: Prediction) -> bool:
    """Whether the doubt is so grave that the numbers mean little and no emotion is named."""
    return any(reason in TITLES for reason in prediction.reasons)


def sex(probabilities: dict[str, float]) -> tuple[str, str]:
    """How a voice sounds, and how likely that is: ("sounds female", "96 %")."""
    likelier = max(probabilities, key=probabilities.__getitem__)
    if probabilities[likelier] < TELLING:
        return "could be either", f"{likelier} {percent(probabilities[likelier])}"
    return f"sounds {likelier}", percent(probabilities[likelier])


def title(prediction: Prediction) -> str:
    """The answer in a word or three; a doubtful one is not named."""
    for reason, words in TITLES.items():
        if reason in prediction.reasons:
            return words
    return "Unsure" if prediction.uncertain else prediction.label.capitalize()


def subtitle(prediction: Prediction) -> str:
    """What stands under the title: how sure, or what the doubt lies between."""
    if not prediction.uncertain:
        return f"{sureness(prediction.confidence)}, {percent(prediction.confidence)}"
    for reason, words in SUBTITLES.items():
        if reason in prediction.reasons:
            return words(prediction)
    (first, likely), (second, less) = ranked(prediction)[:2]
    if less > CLOSE * likely:
        return f"between {first} ({percent(likely)}) and {second} ({percent(less)})"
    return f"perhaps {first} ({percent(likely)})"


def doubts(prediction: Prediction, sure_from: float) -> list[tuple[str, str]]:
    """For every reason of doubt: what was found, in numbers where there are any, and what would help.

    `sure_from` is the confidence from which on the model's answers count as sure.
    """
    gravest_first = sorted(prediction.reasons, key=lambda reason: reason not in TITLES)
    return [(FOUND[reason](prediction, sure_from), HELP[reason]) for reason in gravest_first]


def heard(prediction: Prediction) -> str:
    """Which part of the recording the answer rests on."""
    start, end = prediction.used_s
    if end - start > prediction.duration_s - 0.1:
        return "All of it was judged."
    return f"Judged from {start:.1f} to {end:.1f} s; silence at both ends is grey and left out."


# The gravest first: the first that holds names the answer.
TITLES = {"silent": "Silence", "too_short": "Too short to tell", "unlike_training": "Not like speech"}

SUBTITLES: dict[str, Callable[[Prediction], str]] = {
    "silent": lambda p: "nothing to judge",
    "too_short": lambda p: f"{seconds(used_s(p))} of sound",
    "unlike_training": lambda p: "so no emotion is named",
}

FOUND: dict[str, Callable[[Prediction, float], str]] = {
    "silent": lambda p, _: f"The recording is {seconds(p.duration_s)} long and holds no sound.",
    "too_short": lambda p, _: f"Only {seconds(used_s(p))} of sound; at least {MIN_USED_S} s is needed.",
    "clipped": lambda p, _: "The recording is overdriven: its loudest parts are cut off flat.",
    "close_call": lambda p, sure_from: (
        f"The best fit, {p.label}, has {percent(p.confidence)}; an answer counts as sure from {percent(sure_from)} on."
    ),
    "unlike_training": lambda p, _: "This does not sound like the speech that the model learned from.",
    "cut_off": lambda p, _: f"The file is damaged or incomplete: only {seconds(p.duration_s)} could be heard.",
}

HELP = {
    "silent": "Check that the microphone is not muted, then record again.",
    "too_short": "Say a whole sentence.",
    "clipped": "Move back from the microphone or turn its level down.",
    "close_call": "Try a few seconds of one person in one mood, close to the microphone.",
    "unlike_training": "Music, noise and tones end here. Record one voice, close to the microphone.",
    "cut_off": "Send the whole file, or record it again.",
}
