"""Sentences to read aloud, whose words carry no emotion, and how to say them with one."""

from __future__ import annotations

# How to say any of them, by emotion: what the voice does, as actors are instructed.
HINTS = {
    "neutral": "As you would read out a shopping list: even, at your usual pace.",
    "calm": "Slowly and softly, breathing out, as if to a child who is falling asleep.",
    "happy": "With a smile that can be heard: higher, lively, ending upwards.",
    "sad": "Low and slow, with little breath, letting the ends of words fall.",
    "angry": "Loud and hard, with short stressed words, as if said for the third time.",
    "fearful": "High, fast and unsteady, as if something were behind you.",
    "disgust": "From the back of the throat, drawn out, as if something smelled foul.",
    "surprised": "With a quick breath before it and a jump upwards, as if you could not believe it.",
}

# By language (ISO 639-1).
SENTENCES = {
    "en": (
        "The bus stops in front of the library.",
        "I put the keys on the kitchen table.",
        "They will be here in seven hours.",
        "The meeting has been moved to Thursday.",
    ),
    "de": (
        "Der Bus hält vor der Bücherei.",
        "Ich habe die Schlüssel auf den Tisch gelegt.",
        "In sieben Stunden sind sie hier.",
        "Die Besprechung ist jetzt am Donnerstag.",
    ),
    "es": (
        "El autobús para delante de la biblioteca.",
        "He dejado las llaves en la mesa de la cocina.",
        "Llegarán dentro de siete horas.",
        "La reunión se ha pasado al jueves.",
    ),
    "fr": (
        "Le bus s'arrête devant la bibliothèque.",
        "J'ai posé les clés sur la table de la cuisine.",
        "Ils seront ici dans sept heures.",
        "La réunion est reportée à jeudi.",
    ),
    "it": (
        "L'autobus si ferma davanti alla biblioteca.",
        "Ho messo le chiavi sul tavolo della cucina.",
        "Saranno qui tra sette ore.",
        "La riunione è stata spostata a giovedì.",
    ),
    "nl": (
        "De bus stopt voor de bibliotheek.",
        "Ik heb de sleutels op de keukentafel gelegd.",
        "Over zeven uur zijn ze hier.",
        "De vergadering is verplaatst naar donderdag.",
    ),
    "pl": (
        "Autobus zatrzymuje się przed biblioteką.",
        "Klucze leżą na stole w kuchni.",
        "Będą tutaj za siedem godzin.",
        "Spotkanie przeniesiono na czwartek.",
    ),
    "pt": (
        "O autocarro para em frente à biblioteca.",
        "Pus as chaves na mesa da cozinha.",
        "Eles estarão aqui daqui a sete horas.",
        "A reunião foi mudada para quinta-feira.",
    ),
}
