"""Wording of the page: short sentences about a prediction, with its numbers."""

from __future__ import annotations

import math
from collections.abc import Callable

from ser.types import MIN_USED_S, QUALITY, Prediction

SURENESS = ((0.9, "very sure"), (0.6, "fairly sure"), (0.0, "not very sure"))
SEX_NAMED = 0.6  # probability from which on a voice is said to sound female or male


def percent(probability: float) -> str:
    """Format a fraction in whole per cent: 0.7123 is "71 %"."""
    return f"{100 * probability:.0f} %"


def seconds(duration_s: float) -> str:
    """Format a duration in tenths of seconds: 0.3456 is "0.3 s"."""
    return f"{duration_s:.1f} s"


def sound_s(prediction: Prediction) -> float:
    """Return the seconds of sound, rounded down so that too little never reads as enough."""
    return math.floor(10 * prediction.sound_s + 1e-6) / 10


def ranked(prediction: Prediction) -> list[tuple[str, float]]:
    """Return emotions and probabilities, the most likely first."""
    return sorted(prediction.probabilities.items(), key=lambda item: -item[1])


def is_unnamed(prediction: Prediction) -> bool:
    """Return whether the answer is so doubtful that no emotion is named."""
    return any(reason in TITLES for reason in prediction.reasons)


def sex(probabilities: dict[str, float]) -> tuple[str, str]:
    """Return how the sex of a voice sounds, and how likely that is: ("sounds female", "96 %")."""
    likelier = max(probabilities, key=probabilities.__getitem__)
    if probabilities[likelier] < SEX_NAMED:
        return "could be either", f"{likelier} {percent(probabilities[likelier])}"
    return f"sounds {likelier}", percent(probabilities[likelier])


def title(prediction: Prediction) -> str:
    """Return the answer in up to three words; an uncertain one names up to two labels that are likely together."""
    if is_unnamed(prediction):
        return next(text for reason, text in TITLES.items() if reason in prediction.reasons)
    if not prediction.uncertain:
        return prediction.label.capitalize()
    names = prediction.top
    return "Unsure" if len(names) > 2 else " or ".join(names).capitalize() if names[1:] else f"Perhaps {names[0]}"


def subtitle(prediction: Prediction) -> str:
    """Return the confidence in words, or the likeliest labels of an uncertain answer."""
    if not prediction.uncertain:
        sure = next(text for least, text in SURENESS if prediction.confidence >= least)
        return f"{sure}, {percent(prediction.confidence)}"
    for reason, text in SUBTITLES.items():
        if reason in prediction.reasons:
            return text(prediction)
    *others, last = [f"{label} ({percent(prediction.probabilities[label])})" for label in prediction.top]
    return f"{', '.join(others)} or {last}" if others else f"not sure, {percent(prediction.confidence)}"


def doubts(prediction: Prediction, sure_from: float) -> list[tuple[str, str]]:
    """Return problem and advice for each reason for doubt, the gravest first; `sure_from` is the model's threshold."""
    gravest_first = sorted(prediction.reasons, key=lambda reason: reason not in TITLES)
    return [(PROBLEMS[reason](prediction, sure_from), HELP[reason]) for reason in gravest_first]


def faults(prediction: Prediction) -> list[tuple[str, str]]:
    """Return what is wrong with the recording though the answer counts, and advice, for each fault."""
    return [(QUALITY[fault], HELP[fault]) for fault in prediction.quality]


def used_part(prediction: Prediction) -> str:
    """Say which part of the recording was used."""
    start, end = prediction.used_s
    if end - start > prediction.duration_s - 0.1:
        return "All of it was judged."
    return f"Judged from {start:.1f} to {end:.1f} s; silence at both ends is grey and left out."


# The gravest first: the first reason that applies is the title.
TITLES = {"silent": "Silence", "too_short": "Too short to tell", "unlike_training": "Not like speech"}

SUBTITLES: dict[str, Callable[[Prediction], str]] = {
    "silent": lambda p: "nothing to judge",
    "too_short": lambda p: f"{seconds(sound_s(p))} of sound",
    "unlike_training": lambda p: "so no emotion is named",
}

PROBLEMS: dict[str, Callable[[Prediction, float], str]] = {
    "silent": lambda p, _: f"The recording is {seconds(p.duration_s)} long and holds no sound.",
    "too_short": lambda p, _: f"Only {seconds(sound_s(p))} of sound; at least {MIN_USED_S} s is needed.",
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
    "unlike_training": "Music, noise and tones get this result. Record one voice, close to the microphone.",
    "cut_off": "Send the whole file, or record it again.",
    "offset": "The answer counts; try another microphone or input.",
    "hum": "The answer counts; try another cable, or a battery in place of the power supply.",
}
