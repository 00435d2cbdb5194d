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
    "top.title": ("How does this voice sound?", "Wie klingt diese Stimme?"),
    "top.lead": (
        "Record or upload a voice and see which emotion it carries, how sure that is, and why.",
        "Nehmen Sie eine Stimme auf oder laden Sie eine hoch und sehen Sie, nach welcher Emotion sie klingt, wie "
        "sicher das ist und warum.",
    ),
    "top.private": (
        "Processed in memory, deleted when you leave.",
        "Nur im Arbeitsspeicher; gelöscht, wenn Sie die Seite verlassen.",
    ),
    "top.name": ("speech emotion recognition", "Emotionen in der Stimme"),
    "top.private_kept": (
        "Answers are kept on this computer, the sound is not.",
        "Antworten bleiben auf diesem Computer, der Ton nicht.",
    ),
    "top.no_model": ("The model cannot be loaded", "Das Modell lässt sich nicht laden"),
    # --- Input ---
    "input.record": ("Record", "Aufnehmen"),
    "input.add": ("Add files", "Dateien"),
    "input.upload": ("Drop recordings here, or choose files", "Aufnahmen hier ablegen oder Dateien auswählen"),
    "input.formats": (
        "WAV, MP3, M4A, WebM and most other formats, up to an hour and {mb}\N{NO-BREAK SPACE}MB, several at once.",
        "WAV, MP3, M4A, WebM und die meisten anderen Formate, bis zu einer Stunde und {mb}\N{NO-BREAK SPACE}MB, auch "
        "mehrere.",
    ),
    "input.samples": ("Samples", "Beispiele"),
    "input.synthetic": (
        "Spoken by a speech synthesiser, not by people, so expect doubt. One is music.",
        "Von einem Sprachsynthesizer gesprochen, nicht von Menschen, daher oft unsicher. Eines ist Musik.",
    ),
    "input.others": ("Another recorder", "Ein anderer Rekorder"),
    "input.others_pause": (
        "Stops when you pause",
        "Endet, wenn Sie eine Pause machen",
    ),
    "input.others_stop": (
        "Stops when you click",
        "Endet auf Klick",
    ),
    "input.recording": ("Recording {number}", "Aufnahme {number}"),
    "input.progress": ("{done} of {all} files", "{done} von {all} Dateien"),
    "input.refused": (
        "This could not be used",
        "Diese Datei lässt sich nicht verwenden",
    ),
    "input.refused_several": (
        "{count} files could not be used",
        "{count} Dateien lassen sich nicht verwenden",
    ),
    "input.kept": (
        "Nothing else on this page is lost. Choose another recording.",
        "Sonst ging auf dieser Seite nichts verloren. Wählen Sie eine andere Aufnahme.",
    ),
    "sample.even": ("Even", "Gleichmäßig"),
    "sample.music": ("Music", "Musik"),
    "sample.quick-and-high": ("Quick and high", "Schnell und hoch"),
    "sample.sharp": ("Sharp", "Scharf"),
    "sample.slow-and-soft": ("Slow and soft", "Langsam und leise"),
    "sample.trembling": ("Trembling", "Zitternd"),
    # --- Recorder ---
    "recorder.start": ("Record", "Aufnehmen"),
    "recorder.start_live": ("Listen live", "Live zuhören"),
    "recorder.stop": ("Stop the recording", "Aufnahme beenden"),
    "recorder.cancel": ("Cancel", "Abbrechen"),
    "recorder.discard": ("Discard", "Verwerfen"),
    "recorder.pause": ("Stops when I pause", "Endet bei einer Pause"),
    "recorder.idle_keys": ("Click, or press Space", "Klicken oder Leertaste drücken"),
    "recorder.idle_touch": ("Tap, then speak", "Antippen, dann sprechen"),
    "recorder.asking": ("Please allow the microphone", "Bitte das Mikrofon erlauben"),
    "recorder.recording": ("Recording", "Aufnahme läuft"),
    "recorder.recording_keys": ("Space stops, Esc discards", "Leertaste beendet, Esc verwirft"),
    "recorder.recording_touch": ("Tap to stop", "Antippen beendet"),
    "recorder.sending": ("One moment …", "Einen Moment …"),
    "recorder.sent": ("The recording has ended.", "Die Aufnahme ist beendet."),
    "recorder.discarded": ("Discarded, nothing was kept.", "Verworfen, nichts wurde gespeichert."),
    "recorder.insecure": ("No microphone on this address", "Kein Mikrofon unter dieser Adresse"),
    "recorder.insecure_help": (
        "Browsers allow it only under https or on localhost. Open the page that way, or add a file.",
        "Browser erlauben es nur unter https oder auf localhost. Öffnen Sie die Seite so oder wählen Sie eine Datei.",
    ),
    "recorder.denied": ("The microphone is not allowed", "Das Mikrofon ist nicht erlaubt"),
    "recorder.denied_help": (
        "Click the icon beside the page's address, allow the microphone and try again. Or add a file.",
        "Klicken Sie auf das Symbol neben der Adresse der Seite, erlauben Sie das Mikrofon und versuchen Sie es "
        "erneut. Oder wählen Sie eine Datei.",
    ),
    "recorder.missing": ("No microphone found", "Kein Mikrofon gefunden"),
    "recorder.missing_help": (
        "Connect one or switch it on, then try again. Or add a file.",
        "Schließen Sie eines an oder schalten Sie es ein und versuchen Sie es erneut. Oder wählen Sie eine Datei.",
    ),
    "recorder.busy": ("The microphone does not start", "Das Mikrofon startet nicht"),
    "recorder.busy_help": (
        "Another program may be using it. Close that one and try again.",
        "Vielleicht benutzt es ein anderes Programm. Schließen Sie dieses und versuchen Sie es erneut.",
    ),
    "recorder.silent": ("Your microphone sends no sound", "Ihr Mikrofon liefert keinen Ton"),
    "recorder.silent_help": (
        "It may be muted: look for a switch on it, or choose another one in the settings.",
        "Es ist vielleicht stumm: Suchen Sie einen Schalter daran oder wählen Sie in den Einstellungen ein anderes.",
    ),
    "recorder.lost": ("The microphone was disconnected", "Das Mikrofon wurde getrennt"),
    "recorder.lost_help": ("What was recorded until then is used.", "Was bis dahin aufgenommen wurde, zählt."),
    "recorder.limit": ("Two minutes are the limit", "Zwei Minuten sind die Grenze"),
    "recorder.limit_help": ("The recording was ended there.", "Die Aufnahme wurde dort beendet."),
    "recorder.late": ("The page does not answer yet", "Die Seite antwortet noch nicht"),
    "recorder.late_help": (
        "What you said is kept here and sent again until it does.",
        "Was Sie gesagt haben, bleibt hier und wird wieder gesendet, bis sie antwortet.",
    ),
    "recorder.waiting": ("Nothing heard yet", "Noch nichts gehört"),
    "recorder.none": ("No speech", "Keine Sprache"),
    "recorder.unsure": ("perhaps {{emotion}}", "vielleicht {{emotion}}"),
    "recorder.bars": (
        "Probability of every emotion in the last 3.5 seconds",
        "Wahrscheinlichkeit jeder Emotion in den letzten 3,5 Sekunden",
    ),
    "recorder.ribbon": (
        "Emotions of the last 30 seconds; hatched where unsure, grey without speech",
        "Emotionen der letzten 30 Sekunden; schraffiert, wo unsicher, grau ohne Sprache",
    ),
    "recorder.ago": ("30 seconds ago", "vor 30 Sekunden"),
    "recorder.now": ("now", "jetzt"),
    # --- Answer ---
    "answer.example": ("An answer looks like this", "So sieht eine Antwort aus"),
    "answer.sounds": ("This voice sounds", "Diese Stimme klingt"),
    "answer.undecided": ("No clear answer", "Keine klare Antwort"),
    "answer.none": ("No emotion is named", "Es wird keine Emotion genannt"),
    "answer.probably": (
        "Probably {label}",
        "Vermutlich {label}",
    ),
    "answer.two": ("{first} or {second}", "{first} oder {second}"),
    "answer.hard": ("Hard to say", "Schwer zu sagen"),
    "answer.silent": ("Silence", "Stille"),
    "answer.too_short": ("Too short to tell", "Zu kurz"),
    "answer.unlike_training": (
        "Not like speech",
        "Klingt nicht nach Sprache",
    ),
    "answer.sure": ("sure, {share}", "sicher, {share}"),
    "answer.share": ("{share} likely", "Wahrscheinlichkeit {share}"),
    "answer.leaning": ("leaning to {label}", "eher {label}"),
    "answer.nothing": ("nothing to judge", "nichts zu beurteilen"),
    "answer.of_sound": ("{seconds} of sound", "{seconds} Ton"),
    "answer.no_emotion": ("so no emotion is named", "daher wird keine Emotion genannt"),
    "answer.adapted": ("Adapted to {source}, {clips} recordings", "Angepasst an {source}, {clips} Aufnahmen"),
    "answer.source": ("this source", "diese Quelle"),
    "answer.voice": ("your voice", "Ihre Stimme"),
    "answer.emotions": ("All emotions", "Alle Emotionen"),
    "answer.others": ("{count} more, together {share}", "{count} weitere, zusammen {share}"),
    "answer.sex": ("Voice", "Stimme"),
    "answer.male": ("male", "männlich"),
    "answer.female": ("female", "weiblich"),
    "answer.sounds_sex": ("sounds {sex}, {sure}", "klingt {sex}, {sure}"),
    "answer.either_sex": ("could be either", "könnte beides sein"),
    "answer.very": ("very sure", "sehr sicher"),
    "answer.fairly": ("fairly sure", "ziemlich sicher"),
    "answer.not_very": ("not very sure", "nicht sehr sicher"),
    "answer.intensity": ("Intensity", "Stärke"),
    "answer.intensity_normal": ("normal", "normal"),
    "answer.intensity_between": ("between normal and strong", "zwischen normal und stark"),
    "answer.intensity_rather": ("rather strong", "eher stark"),
    "answer.intensity_strong": ("strong", "stark"),
    "answer.strong_end": ("strong", "stark"),
    "answer.used_all": ("All of it was judged.", "Beurteilt wurde die ganze Aufnahme."),
    "answer.used": (
        "Judged: {sound} s of sound, from {start} to {end} s. Silence, steady noise and long pauses are left out.",
        "Beurteilt: {sound} s Klang von {start} bis {end} s. Stille, stetes Rauschen und lange Pausen zählen nicht.",
    ),
    "answer.sound": ("Spectrogram", "Spektrogramm"),
    "answer.spectrogram": ("Level over time and frequency", "Pegel über Zeit und Frequenz"),
    "answer.no_sound": (
        "The sound of this recording is no longer in memory; its answer is.",
        "Der Ton dieser Aufnahme ist nicht mehr im Speicher, ihre Antwort schon.",
    ),
    # --- Doubts ---
    "doubt.why": ("Why not sure?", "Warum nicht sicher?"),
    "doubt.range": ("{some} to {most}", "{some} bis {most}"),
    "doubt.first_two": (
        "On voices that the model has never heard, the true emotion was among the first two in {share} of 10 "
        "recordings.",
        "Bei Stimmen, die das Modell nie gehört hat, war die wahre Emotion in {share} von 10 Aufnahmen unter den "
        "ersten beiden.",
    ),
    "doubt.silent": (
        "The recording is {length} long and holds no sound.",
        "Die Aufnahme ist {length} lang und enthält keinen Ton.",
    ),
    "doubt.silent.help": (
        "Check that the microphone is not muted, then record again.",
        "Prüfen Sie, ob das Mikrofon stummgeschaltet ist, und nehmen Sie noch einmal auf.",
    ),
    "doubt.too_short": (
        "Only {sound} of sound; at least {least} is needed.",
        "Nur {sound} Ton; mindestens {least} sind nötig.",
    ),
    "doubt.too_short.help": ("Say a whole sentence.", "Sprechen Sie einen ganzen Satz."),
    "doubt.unlike_training": (
        "This does not sound like the speech that the model learned from.",
        "Das klingt nicht wie die Sprache, aus der das Modell gelernt hat.",
    ),
    "doubt.unlike_training.help": (
        "Music, noise and tones get this result. Record one voice, close to the microphone.",
        "Musik, Geräusche und Töne führen dazu. Nehmen Sie eine einzelne Stimme nah am Mikrofon auf.",
    ),
    "doubt.cut_off": (
        "The file is damaged or incomplete: only {length} could be heard.",
        "Die Datei ist beschädigt oder unvollständig: nur {length} waren zu hören.",
    ),
    "doubt.cut_off.help": (
        "Send the whole file, or record it again.",
        "Schicken Sie die ganze Datei oder nehmen Sie noch einmal auf.",
    ),
    "doubt.clipped": (
        "The recording is too loud for its microphone: its loudest parts are cut off flat.",
        "Die Aufnahme ist übersteuert: Ihre lautesten Stellen sind abgeschnitten.",
    ),
    "doubt.clipped.help": (
        "Move back from the microphone or turn its level down.",
        "Gehen Sie weiter weg vom Mikrofon oder stellen Sie es leiser.",
    ),
    "doubt.offset": (
        "The recording has a constant offset, as from a faulty sound card or cable; this is taken out.",
        "Die Aufnahme liegt neben der Nulllinie, wie von einer defekten Soundkarte oder einem Kabel; das wird "
        "herausgerechnet.",
    ),
    "doubt.offset.help": (
        "The answer counts; try another microphone or input.",
        "Die Antwort gilt; versuchen Sie ein anderes Mikrofon oder einen anderen Eingang.",
    ),
    "doubt.hum": (
        "There is mains hum, as from a cable or a power supply; most of it is taken out.",
        "Es brummt, wie von einem Kabel oder Netzteil; das meiste davon wird herausgerechnet.",
    ),
    "doubt.hum.help": (
        "The answer counts; try another cable, or a battery in place of the power supply.",
        "Die Antwort gilt; versuchen Sie ein anderes Kabel oder Akku statt Netzteil.",
    ),
    "doubt.offset.alone": (
        "Try another microphone or input.",
        "Versuchen Sie ein anderes Mikrofon oder einen anderen Eingang.",
    ),
    "doubt.hum.alone": (
        "Try another cable, or a battery in place of the power supply.",
        "Versuchen Sie ein anderes Kabel oder Akku statt Netzteil.",
    ),
    "doubt.close_call": (
        "The best fit, {label}, has {share}; for a recording like this, an answer is clear enough from {sure} on.",
        "Am besten passt {label} mit {share}; bei einer Aufnahme wie dieser ist eine Antwort ab {sure} klar genug.",
    ),
    "doubt.stranger": (
        "The best fit, {label}, has {share}. For microphones, rooms and languages unlike the training, no such answer "
        "is called sure.",
        "Am besten passt {label} mit {share}. Bei Mikrofonen, Räumen und Sprachen, die anders als im Training sind, "
        "gilt keine solche Antwort als sicher.",
    ),
    "doubt.close_call.help": (
        "A longer recording of one person in one mood, recordings of your voice, or more recordings of this source in "
        "different moods usually make the answer better.",
        "Eine längere Aufnahme einer Person in einer Stimmung, Aufnahmen Ihrer Stimme oder weitere Aufnahmen dieser "
        "Quelle in verschiedenen Stimmungen machen die Antwort meist besser.",
    ),
    "doubt.rate": (
        "Of answers with a figure like this on recordings from elsewhere, about {right} of 10 were right.",
        "Von Antworten mit einem solchen Wert bei Aufnahmen von anderswo waren etwa {right} von 10 richtig.",
    ),
    # --- Timeline ---
    "player.play": ("Play", "Abspielen"),
    "player.pause": ("Pause", "Pause"),
    "player.position": ("Position in the recording", "Stelle in der Aufnahme"),
    "player.waveform": ("Loudness over time; the sound is no longer kept", "Lautstärke über die Zeit; ohne Ton"),
    "player.earlier": ("Earlier minute", "Frühere Minute"),
    "player.later": ("Later minute", "Spätere Minute"),
    "player.none": ("No speech in this minute.", "Keine Sprache in dieser Minute."),
    "player.hatched": ("unsure", "unsicher"),
    "player.grey": ("no speech", "keine Sprache"),
    "player.probably": (
        "{label}, probably",
        "vermutlich {label}",
    ),
    "player.unsure": ("{label}, unsure", "{label}, unsicher"),
    "player.left": ("left", "links"),
    "player.right": ("right", "rechts"),
    "player.mono": ("mono", "mono"),
    "player.channel": ("channel {number}", "Kanal {number}"),
    "timeline.working": ("Analysing {name}", "{name} wird ausgewertet"),
    "timeline.waiting": ("waiting for other recordings", "wartet auf andere Aufnahmen"),
    "timeline.minutes": ("{done} min so far", "bisher {done} min"),
    "timeline.minutes_of": ("{done} of {all} min", "{done} von {all} min"),
    "timeline.stop": ("Stop", "Anhalten"),
    "timeline.stopping": ("stopping …", "hält an …"),
    "timeline.length": ("{length} long", "{length} lang"),
    "timeline.speech": (
        "{length}, {speech} of speech",
        "{length}, davon {speech} Sprache",
    ),
    "timeline.unsure": ("{share} of it unsure", "{share} davon unsicher"),
    "timeline.adapted_self": ("adapted to this recording", "angepasst an diese Aufnahme"),
    "timeline.adapted": ("adapted to {source}", "angepasst an {source}"),
    "timeline.mostly": ("Mostly {emotions}", "Überwiegend {emotions}"),
    "timeline.mixed": ("Mixed, most often {emotions}", "Gemischt, am häufigsten {emotions}"),
    "timeline.no_speech": ("No speech found", "Keine Sprache gefunden"),
    "timeline.stopped": (
        "You stopped at {at}; what follows was not analysed.",
        "Bei {at} angehalten; was folgt, ist nicht ausgewertet.",
    ),
    "timeline.cut_off": (
        "The file is damaged or incomplete: only {at} could be heard.",
        "Die Datei ist beschädigt oder unvollständig: nur {at} waren zu hören.",
    ),
    "timeline.apart": ("Each side of the call by itself", "Jede Seite des Gesprächs für sich"),
    "timeline.shares": ("Share of each emotion", "Anteil jeder Emotion"),
    "timeline.over_time": ("Emotions over time", "Emotionen im Verlauf"),
    "timeline.over_time_alt": (
        "Probability of each emotion over time: {emotions}",
        "Wahrscheinlichkeit jeder Emotion im Verlauf: {emotions}",
    ),
    "timeline.files": ("Download", "Herunterladen"),
    # --- This visit ---
    "visit.title": ("This visit: compare, note, keep", "Dieser Besuch: vergleichen, notieren, speichern"),
    "visit.strip": ("Recordings of this visit", "Aufnahmen dieses Besuchs"),
    "visit.mostly": ("Most often {label}", "Am häufigsten {label}"),
    "visit.comparison": ("Two recordings compared", "Zwei Aufnahmen im Vergleich"),
    "visit.compared": ("Recording {number}", "Aufnahme {number}"),
    "visit.difference": (
        "The largest difference: {label}, {first} and {second}.",
        "Der größte Unterschied: {label}, {first} und {second}.",
    ),
    "visit.same": ("Both sound nearly the same.", "Beide klingen fast gleich."),
    "visit.one_nameless": (
        "No emotion is named for at least one of them, so its bars say little.",
        "Für mindestens eine wird keine Emotion genannt; ihre Balken sagen wenig.",
    ),
    "visit.shares": (
        "For a long recording, the bars are shares of its speech.",
        "Bei einer langen Aufnahme sind die Balken Anteile ihrer Sprechzeit.",
    ),
    "visit.course": ("This visit over time", "Dieser Besuch im Verlauf"),
    "visit.table": ("All recordings of this visit", "Alle Aufnahmen dieses Besuchs"),
    "visit.column.answer": ("Answer", "Antwort"),
    "visit.column.recording": ("Recording", "Aufnahme"),
    "visit.column.note": ("Note", "Notiz"),
    "visit.column.actions": ("Show or delete", "Zeigen oder löschen"),
    "visit.note": ("Note", "Notiz"),
    "visit.show": ("Show", "Zeigen"),
    "visit.delete": ("Delete", "Löschen"),
    "visit.sure": ("Really?", "Wirklich?"),
    "visit.csv": ("All as CSV", "Alle als CSV"),
    "visit.clear": ("Clear this visit", "Besuch löschen"),
    "visit.clear.sure": (
        "Forget all recordings of this visit ({count}), with their notes?",
        "Alle Aufnahmen dieses Besuchs ({count}) mit ihren Notizen vergessen?",
    ),
    "visit.clear.yes": ("Forget them", "Vergessen"),
    "visit.keep": ("Keep on this computer", "Auf diesem Computer speichern"),
    "visit.keep.how": (
        "Writes answers and file names, no sound, to the history of the command line.",
        "Schreibt Antworten und Dateinamen, keinen Ton, in den Verlauf der Kommandozeile.",
    ),
    "visit.keep.on": (
        "Kept: {count} of {all} answers of this visit.",
        "Gespeichert: {count} von {all} Antworten dieses Besuchs.",
    ),
    "visit.keep.missing": (
        "Keeping needs an extra that is not installed: {command}.",
        "Dafür fehlt ein Zusatzpaket: {command}.",
    ),
    "visit.keep.locked": (
        "Not kept: another program is writing to the history. Switch it on again in a moment.",
        "Nicht gespeichert: Ein anderes Programm schreibt gerade in den Verlauf. Schalten Sie gleich noch einmal ein.",
    ),
    "visit.keep.read-only": (
        "Not kept: the history cannot be written, its file or folder is read-only.",
        "Nicht gespeichert: Der Verlauf ist nicht beschreibbar, seine Datei oder sein Ordner ist schreibgeschützt.",
    ),
    "visit.keep.full": ("Not kept: the disk is full.", "Nicht gespeichert: Der Datenträger ist voll."),
    "visit.keep.unreachable": (
        "Not kept: the folder of the history is missing or closed to this program.",
        "Nicht gespeichert: Der Ordner des Verlaufs fehlt oder ist für dieses Programm gesperrt.",
    ),
    "visit.keep.foreign": (
        "Not kept: the file in the place of the history belongs to another program. It was left alone.",
        "Nicht gespeichert: An der Stelle des Verlaufs liegt die Datei eines anderen Programms. Sie blieb unberührt.",
    ),
    "visit.keep.other": (
        "Not kept: the history cannot be used. On the command line, ser history list says why.",
        "Nicht gespeichert: Der Verlauf ist nicht verwendbar. ser history list auf der Kommandozeile sagt, warum.",
    ),
    "visit.kept": ("What is kept", "Gespeicherte Antworten"),
    "visit.kept.none": ("Nothing is kept on this computer.", "Auf diesem Computer ist nichts gespeichert."),
    "visit.kept.newest": ("The newest {most} of {count}.", "Die neuesten {most} von {count}."),
    "visit.kept.delete": ("Delete all", "Alle löschen"),
    "visit.kept.sure": (
        "Delete everything that is kept on this computer ({count}), also by the command line?",
        "Alles löschen, was auf diesem Computer gespeichert ist ({count}), auch von der Kommandozeile?",
    ),
    "visit.kept.yes": ("Delete it", "Löschen"),
    # --- Why ---
    "why.title": ("Why this answer?", "Warum diese Antwort?"),
    "why.working": ("Hiding parts of the recording one by one …", "Teile der Aufnahme werden nacheinander verdeckt …"),
    "why.about": (
        "Each property was made like that of a neutral voice, each short stretch hidden. These changed the answer.",
        "Jede Eigenschaft wurde an eine neutrale Stimme angeglichen, jedes kurze Stück verdeckt. Das änderte die "
        "Antwort.",
    ),
    "why.about_stretches": (
        "Each short stretch was hidden. This changed the answer most.",
        "Jedes kurze Stück wurde verdeckt. Das hier änderte die Antwort am stärksten.",
    ),
    "why.about_own": (
        "Each property was made like that of your usual voice, each short stretch hidden. These changed the answer.",
        "Jede Eigenschaft wurde an Ihre übliche Stimme angeglichen, jedes kurze Stück verdeckt. Das änderte die "
        "Antwort.",
    ),
    "why.nothing": ("Nothing stands out clearly.", "Nichts sticht deutlich hervor."),
    "why.nothing.about": (
        "No single property or stretch of time changes the answer much more than any other.",
        "Keine einzelne Eigenschaft und kein Stück ändert die Antwort viel stärker als andere.",
    ),
    "why.no_sound": (
        "The sound of this recording is no longer in memory, so it cannot be asked again.",
        "Der Ton dieser Aufnahme ist nicht mehr im Speicher und lässt sich nicht noch einmal prüfen.",
    ),
    "why.neutral": ("neutral voice", "neutrale Stimme"),
    "why.own": ("your usual voice", "Ihre übliche Stimme"),
    "why.without": (
        "Without that, “{label}” would have {after} in place of {before}.",
        "Ohne das läge „{label}“ bei {after} statt {before}.",
    ),
    "why.without_stretch": (
        "Without {time}, “{label}” would have {after} in place of {before}.",
        "Ohne {time} läge „{label}“ bei {after} statt {before}.",
    ),
    "why.stretches": ("Marked in the waveform: {times}.", "In der Wellenform markiert: {times}."),
    "why.stretch": ("{start} to {end}\N{NO-BREAK SPACE}s", "{start} bis {end}\N{NO-BREAK SPACE}s"),
    "why.pitch": ("Pitch", "Tonhöhe"),
    "why.pitch.higher": ("high", "hoch"),
    "why.pitch.lower": ("low", "tief"),
    "why.pitch_movement": ("Melody", "Melodie"),
    "why.pitch_movement.higher": ("lively", "bewegt"),
    "why.pitch_movement.lower": ("flat", "flach"),
    "why.loudness_movement": ("Loudness", "Lautstärke"),
    "why.loudness_movement.higher": ("changing", "wechselnd"),
    "why.loudness_movement.lower": ("even", "gleichmäßig"),
    "why.tempo": ("Tempo and pauses", "Tempo und Pausen"),
    "why.tempo.higher": ("quick", "schnell"),
    "why.tempo.lower": ("slow", "langsam"),
    "why.brightness": ("Brightness", "Helligkeit"),
    "why.brightness.higher": ("bright", "hell"),
    "why.brightness.lower": ("dark", "dunkel"),
    "why.voice_quality": ("Voice quality", "Stimmqualität"),
    "why.voice_quality.higher": ("clear", "klar"),
    "why.voice_quality.lower": ("breathy or rough", "behaucht oder rau"),
    # --- Words ---
    "words.title": ("Words", "Worte"),
    "words.off": (
        "Off: whoever starts this page switches it on by naming the folder of a local Whisper model in {variable}.",
        "Ausgeschaltet. Wer diese Seite startet, nennt in {variable} den Ordner eines lokalen Whisper-Modells.",
    ),
    "words.show": ("Show the words", "Worte anzeigen"),
    "words.working": ("Transcribing …", "Wird transkribiert …"),
    "words.said": ("A local model heard:", "Ein lokales Modell hat gehört:"),
    "words.rows": (
        "A local model heard this; each row of the timeline has its words.",
        "Ein lokales Modell hat das gehört; jede Zeile des Verlaufs hat ihre Worte.",
    ),
    "words.none": ("No words were recognised.", "Es wurden keine Worte erkannt."),
    "words.failed": ("The words could not be recognised", "Die Worte waren nicht zu erkennen"),
    # --- Mood map ---
    "mood.title": ("Mood map", "Stimmungskarte"),
    "mood.label": ("Place on the mood map", "Ort auf der Stimmungskarte"),
    "mood.derived": (
        "Derived from the emotions, not measured apart: the mean of their places in the literature.",
        "Aus den Emotionen abgeleitet, nicht eigens gemessen: das Mittel ihrer Orte in der Literatur.",
    ),
    "mood.none": (
        "No emotion is named here, so there is no place on the map.",
        "Hier wird keine Emotion genannt, daher gibt es keinen Ort auf der Karte.",
    ),
    "mood.numbers": ("Valence {valence}, arousal {arousal}", "Valenz {valence}, Erregung {arousal}"),
    "mood.axis.pleasant": ("pleasant", "angenehm"),
    "mood.axis.unpleasant": ("unpleasant", "unangenehm"),
    "mood.axis.high": ("high energy", "viel Energie"),
    "mood.axis.low": ("low energy", "wenig Energie"),
    "mood.valence.very.high": ("pleasant", "angenehm"),
    "mood.valence.rather.high": ("rather pleasant", "eher angenehm"),
    "mood.valence.neither": ("neither pleasant nor unpleasant", "weder angenehm noch unangenehm"),
    "mood.valence.rather.low": ("rather unpleasant", "eher unangenehm"),
    "mood.valence.very.low": ("unpleasant", "unangenehm"),
    "mood.arousal.very.high": ("high energy", "viel Energie"),
    "mood.arousal.rather.high": ("rather high energy", "eher viel Energie"),
    "mood.arousal.neither": ("medium energy", "mittlere Energie"),
    "mood.arousal.rather.low": ("rather low energy", "eher wenig Energie"),
    "mood.arousal.very.low": ("low energy", "wenig Energie"),
    "mood.overall": (
        "on the whole {where}",
        "insgesamt {where}",
    ),
    "mood.path": (
        "The hollow dot is the start ({first}), the large one the end ({last}).",
        "Der hohle Punkt ist der Anfang ({first}), der große das Ende ({last}).",
    ),
    "mood.channels": ("Solid line: {first}; dashed: {others}.", "Durchgezogen: {first}; gestrichelt: {others}."),
    # --- My voice and this source ---
    "source.title": ("My voice and this source", "Meine Stimme und diese Quelle"),
    "source.about": (
        "The everyday voice of one person can sound like the sad voice of another, and every microphone changes the "
        "sound. Answers usually get better if they are measured against your own voice, or against more recordings of "
        "the same source.",
        "Die Alltagsstimme des einen kann wie die traurige Stimme eines anderen klingen, und jedes Mikrofon verändert "
        "den Klang. Antworten werden meist besser, wenn sie an Ihrer eigenen Stimme oder an weiteren Aufnahmen "
        "derselben Quelle gemessen werden.",
    ),
    "source.gain_voice": (
        "On unseen actors, five recordings of the speaker took the share recognised correctly from {without} to "
        "{with_}\N{NO-BREAK SPACE}%.",
        "Bei unbekannten Sprechern stieg der Anteil richtig erkannter Emotionen mit fünf Aufnahmen von {without} auf "
        "{with_}\N{NO-BREAK SPACE}%.",
    ),
    "source.gain_source": (
        "On recordings from elsewhere, twenty of the same source took it from {without} to {with_}\N{NO-BREAK SPACE}%.",
        "Bei Aufnahmen von anderswo stieg der Anteil mit zwanzig derselben Quelle von {without} auf "
        "{with_}\N{NO-BREAK SPACE}%.",
    ),
    "source.voice": ("My voice in four sentences", "Meine Stimme in vier Sätzen"),
    "source.read": ("Read aloud, {number} of {all}", "Lesen Sie vor, {number} von {all}"),
    "source.read_how": ("In your everyday voice.", "Mit Ihrer Alltagsstimme."),
    "source.read_again": ("That sentence could not be used: {why}", "Der Satz war nicht zu verwenden: {why}"),
    "source.start_again": ("Start again", "Von vorn"),
    "source.done": (
        "Your voice is in use, from {clips} recordings.",
        "Ihre Stimme wird verwendet, aus {clips} Aufnahmen.",
    ),
    "source.me_too": ("This is also my voice", "Auch das ist meine Stimme"),
    "source.me_too_done": ("Counted as your voice.", "Zählt als Ihre Stimme."),
    "source.offer": (
        "Do these {clips} recordings come from the same microphone and room, in different moods?",
        "Stammen diese {clips} Aufnahmen vom selben Mikrofon und aus demselben Raum, in verschiedenen Stimmungen?",
    ),
    "source.in_use": (
        "Adapted to the {clips} recordings of this visit. More of them, in different moods, make it better.",
        "Angepasst an die {clips} Aufnahmen dieses Besuchs. Weitere in verschiedenen Stimmungen machen es besser.",
    ),
    "source.decline": ("No", "Nein"),
    "source.adapt": ("Adapt to them", "Daran anpassen"),
    "source.needs": (
        "{clips} of {needed} recordings of this visit so far. Add more from one source to adapt to it.",
        "Bisher {clips} von {needed} Aufnahmen dieses Besuchs. Fügen Sie weitere derselben Quelle hinzu, um "
        "die Antworten an sie anzupassen.",
    ),
    "source.adapted_to": ("Answers adapted to", "Antworten angepasst an"),
    "source.changed": (
        "This answer: before {before}, now {after}.",
        "Diese Antwort: vorher {before}, jetzt {after}.",
    ),
    "source.changed_all": (
        "Changed by it: {changed} of {all} answers of this visit.",
        "Dadurch geändert: {changed} von {all} Antworten dieses Besuchs.",
    ),
    "source.download": ("Download the profile", "Profil herunterladen"),
    "source.download_help": (
        "Numbers only, no sound. Give it again here, or to the command line with --profile.",
        "Nur Zahlen, kein Ton. Hier wieder verwendbar oder auf der Kommandozeile mit --profile.",
    ),
    "source.upload": ("Use a profile", "Ein Profil verwenden"),
    # --- Model ---
    "model.title": ("Model", "Modell"),
    "model.choose": ("Model", "Modell"),
    "model.about": (
        "{size}\N{NO-BREAK SPACE}MB; on unseen actors {score}\N{NO-BREAK SPACE}% recognised correctly.",
        "{size}\N{NO-BREAK SPACE}MB; bei unbekannten Sprechern {score}\N{NO-BREAK SPACE}% richtig erkannt.",
    ),
    "model.labels": ("Emotions", "Emotionen"),
    "model.labels.eight": ("All eight", "Alle acht"),
    "model.labels.seven": ("Seven, without sad", "Sieben, ohne traurig"),
    "model.labels.six": ("Six, without calm and disgusted", "Sechs, ohne ruhig und angewidert"),
    "model.labels.four": ("Four: happy, sad, angry, fearful", "Vier: fröhlich, traurig, wütend, ängstlich"),
    "model.card": ("Model card", "Modellkarte (englisch)"),
    # --- Download ---
    "along.title": ("Download", "Herunterladen"),
    "along.report": ("Report", "Bericht"),
    "along.csv": ("CSV", "CSV"),
    "along.json": ("JSON", "JSON"),
    "along.srt": ("Subtitles (SRT)", "Untertitel (SRT)"),
    "along.vtt": ("Subtitles (VTT)", "Untertitel (VTT)"),
    "along.textgrid": ("Praat (TextGrid)", "Praat (TextGrid)"),
    "along.audacity": ("Audacity labels", "Audacity-Marken"),
    "along.sound": ("The sound", "Der Ton"),
    "along.python": ("The same answer in Python:", "Dieselbe Antwort in Python:"),
    "along.curl": ("And from the service, started by “ser serve”:", "Und vom Dienst, gestartet mit „ser serve“:"),
    "along.adapted": (
        "This answer is adapted. Download the profile under “My voice and this source” and save it as {file}; the "
        "service takes it with SER_PROFILE={file}.",
        "Diese Antwort ist angepasst. Laden Sie das Profil unter „Meine Stimme und diese Quelle“ herunter und "
        "speichern Sie es als {file}; der Dienst nimmt es mit SER_PROFILE={file}.",
    ),
    "along.no_sample": (
        "There is no sample “{name}”. There are: {known}.",
        "Es gibt kein Beispiel „{name}“. Es gibt: {known}.",
    ),
    "report.title": ("How {name} sounds", "Wie {name} klingt"),
    "report.date": ("{year}-{month}-{day}, {time}", "{day}.{month}.{year}, {time} Uhr"),
    "report.speech": ("{length}, {speech} of speech", "{length}, davon {speech} Sprache"),
    "report.no_speech": ("No speech was found", "Es wurde keine Sprache gefunden"),
    "report.mostly": ("mostly {labels}", "meist {labels}"),
    "report.adapted_self": ("Adapted to this recording's own speech", "Angepasst an die Sprache dieser Aufnahme"),
    "report.sound": ("The sound", "Der Ton"),
    "report.drawing": ("Loudness over {length}", "Lautstärke über {length}"),
    "report.over_time": ("Over time", "Im Verlauf"),
    "report.shares": ("Share of each emotion in the speech", "Anteil jeder Emotion an der Sprache"),
    "report.segments": ("Segments", "Abschnitte"),
    "report.time": ("time", "Zeit"),
    "report.sounds": ("sounds", "klingt"),
    "report.probability": ("likely", "wahrsch."),
    "report.doubt": ("doubt", "Zweifel"),
    "report.channel": ("channel", "Kanal"),
    "report.words": ("words", "Worte"),
    "report.unsure": ("hatched: unsure", "schraffiert: unsicher"),
    "report.ribbons": ("ribbons from the top: {channels}", "Bänder von oben: {channels}"),
    "report.reason.silent": ("silence", "Stille"),
    "report.reason.too_short": ("too short", "zu kurz"),
    "report.reason.clipped": ("too loud", "übersteuert"),
    "report.reason.close_call": ("below the limit", "unter der Grenze"),
    "report.reason.unlike_training": ("not like speech", "nicht wie Sprache"),
    "report.reason.cut_off": ("damaged", "beschädigt"),
    "report.note": ("Note", "Notiz"),
    "report.how_good": ("Model, and how good it is", "Modell, und wie gut es ist"),
    "report.model": ("Model", "Modell"),
    "report.labels": ("Emotions", "Emotionen"),
    # --- Live ---
    "live.title": ("Live", "Live"),
    "live.session": ("Live {number}", "Live {number}"),
    # --- Foot ---
    "foot.is": ("What this is.", "Was das ist."),
    "foot.is.text": (
        "An estimate of how a voice sounds to a model that learned from acted speech.",
        "Eine Schätzung, wie eine Stimme für ein Modell klingt, das aus gespielter Sprache gelernt hat.",
    ),
    "foot.score": (
        "On unseen actors, it recognises {score}\N{NO-BREAK SPACE}% of the emotions correctly; guessing gives "
        "{guess}\N{NO-BREAK SPACE}%, and people who listened to the same recordings {human}\N{NO-BREAK SPACE}% "
        "(neutral and calm counted as one; the model knows the studio and the two sentences, they did not).",
        "Bei unbekannten Sprechern erkennt es {score}\N{NO-BREAK SPACE}% der Emotionen richtig; Raten ergibt "
        "{guess}\N{NO-BREAK SPACE}%, und Menschen, die dieselben Aufnahmen hörten, {human}\N{NO-BREAK SPACE}% (neutral "
        "und ruhig zählten als eins; das Modell kennt das Studio und die zwei Sätze, sie kannten beides nicht).",
    ),
    "foot.unseen": (
        "On recordings from other rooms and languages, some with fewer emotions to choose from, {least} to "
        "{most}\N{NO-BREAK SPACE}%.",
        "Bei Aufnahmen aus anderen Räumen und Sprachen, teils mit weniger Emotionen zur Wahl, {least} bis "
        "{most}\N{NO-BREAK SPACE}%.",
    ),
    "foot.not": ("What it is not.", "Was es nicht ist."),
    "foot.not.text": (
        "It does not know what a person feels, and it is no ground for judging anyone. In the EU, inferring emotions "
        "at work or in education is prohibited (AI Act, Article 5(1)(f)). Tell people before you let a machine listen "
        "for their emotions.",
        "Es weiß nicht, was ein Mensch fühlt, und taugt nicht als Grundlage, jemanden zu beurteilen. In der EU ist es "
        "verboten, am Arbeitsplatz oder in der Bildung auf Emotionen zu schließen (KI-Verordnung, Artikel 5 Absatz 1 "
        "Buchstabe f). Informieren Sie Menschen, bevor eine Maschine ihre Stimme auf Emotionen prüft.",
    ),
    "foot.version": ("ser {version}, model {model}", "ser {version}, Modell {model}"),
    "foot.language": ("Language", "Sprache"),
}
