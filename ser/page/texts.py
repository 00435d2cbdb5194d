"""Texts of the page, English and German in one dictionary, and numbers as each language writes them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Language = Literal["en", "de"]
LANGUAGES: dict[Language, str] = {"en": "English", "de": "Deutsch"}


@dataclass(frozen=True)
class Texts:
    """The page's texts in one language; called with a key of `TEXTS` and the values for its placeholders."""

    language: Language = "en"

    def __call__(self, key: str, **values: object) -> str:
        return TEXTS[key][self.language == "de"].format(**values)

    def number(self, value: float, digits: int = 1) -> str:
        """Format a number with the language's decimal sign: 3.456 is "3.5" or "3,5"."""
        text = f"{value:.{digits}f}"
        return text.replace(".", ",") if self.language == "de" else text

    def percent(self, fraction: float) -> str:
        """Format a fraction in whole per cent, never as certainty: 0.7123 is "71 %", 0.999 is "over 99 %"."""
        if 0.995 <= fraction < 1:
            return self("percent.over")
        return f"{100 * fraction:.0f}\N{NO-BREAK SPACE}%"

    def seconds(self, duration_s: float) -> str:
        """Format a duration: "3.5 s", from a minute on "10 min 18 s"."""
        if duration_s < 59.95:
            return f"{self.number(duration_s)}\N{NO-BREAK SPACE}s"
        minutes, seconds = divmod(round(duration_s), 60)
        hours, minutes = divmod(minutes, 60)
        parts = [(hours, "h"), (minutes, "min"), (seconds, "s")]
        return " ".join(f"{value}\N{NO-BREAK SPACE}{unit}" for value, unit in parts if value)

    def emotion(self, label: str) -> str:
        """Return the name of an emotion, as an adjective."""
        return self(f"emotion.{label}")

    def either(self, words: Iterable[str]) -> str:
        """Join words as alternatives: "sad, fearful or disgust"."""
        *others, last = words
        return f"{', '.join(others)} {self('or')} {last}" if others else last

    def all_of(self, words: Iterable[str]) -> str:
        """Join words as a list: "sad, fearful and calm"."""
        *others, last = words
        return f"{', '.join(others)} {self('and')} {last}" if others else last


def language_of(locale: str | None) -> Language:
    """Return the language for a browser's locale ("de-AT"): German if it asks for it, else English."""
    return "de" if (locale or "").lower().startswith("de") else "en"


# Key: English, German. A section for each part of the page, in the order of the page.
TEXTS: dict[str, tuple[str, str]] = {
    # --- Words and numbers ---
    "or": ("or", "oder"),
    "and": ("and", "und"),
    "percent.over": ("over 99\N{NO-BREAK SPACE}%", "über 99\N{NO-BREAK SPACE}%"),
    "emotion.neutral": ("neutral", "neutral"),
    "emotion.calm": ("calm", "ruhig"),
    "emotion.happy": ("happy", "fröhlich"),
    "emotion.sad": ("sad", "traurig"),
    "emotion.angry": ("angry", "wütend"),
    "emotion.fearful": ("fearful", "ängstlich"),
    "emotion.disgust": ("disgusted", "angewidert"),
    "emotion.surprised": ("surprised", "überrascht"),
    # --- Top ---
    # --- Input ---
    # --- Recorder ---
    # --- Answer ---
    # --- Doubts ---
    # --- Timeline ---
    # --- This visit ---
    # --- Why ---
    # --- Words ---
    # --- Mood map ---
    # --- My voice and this source ---
    # --- Model ---
    # --- Take along ---
    # --- Live ---
    # --- Foot ---
}
