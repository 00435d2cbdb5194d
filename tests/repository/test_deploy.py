"""Prometheus' tool accepts rules and queries, and every query names metrics of a running service."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
from programs import DEPLOY, content, loaded, passes, tool
from prometheus_client.parser import text_string_to_metric_families
from running_service import PCM, RATE, SOUND, Running, free_port, running, spoken, wait_for

from ser.audio.pcm import wav_header
from ser.drift import FEWEST_ANSWERS
from ser.service.errors import CODES
from ser.service.middleware import ROUTES
from ser.types import COLOURS, REASONS

DASHBOARD = json.loads(content("deploy/grafana/dashboards/ser.json"))
TARGET = "service:8000"  # of Prometheus in the compose file
KEY = "a key for the test"
BEARER = {"Authorization": f"Bearer {KEY}"}


RULES = [rule for group in loaded(DEPLOY / "prometheus" / "rules.yml")["groups"] for rule in group["rules"]]
RECORDED = {rule["record"] for rule in RULES if "record" in rule}
COMPOSE = loaded(DEPLOY / "compose.yaml")["services"]


# --- Queries ---


def plain(query: str) -> str:
    """Return a query of the dashboard with Grafana's variables replaced, as Prometheus takes it."""
    return re.sub(r"\$__(rate_interval|range)\b", "5m", query).replace("$model", ".*")


def queries() -> Iterator[str]:
    """Yield every query of the dashboard and the rules."""
    for panel in DASHBOARD["panels"]:
        yield from (target["expr"] for target in panel.get("targets", []))
    yield from (rule["expr"] for rule in RULES)


QUERIES = sorted({plain(query) for query in queries()})


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Run a service with a key and two workers: enough predictions for drift, a timeline and a refusal."""
    second = PCM[: 2 * RATE]
    clip = wav_header(RATE, 1, len(second)) + second
    log = tmp_path_factory.mktemp("watched") / "log"
    with running(log, workers=2, env={**os.environ, "SER_API_KEY": KEY}) as service:
        for _ in range(FEWEST_ANSWERS):
            assert service.ask("POST", "/predict", clip, **SOUND, **BEARER)[0] == 200
        assert service.ask("POST", "/timeline", spoken(1), **SOUND, **BEARER)[0] == 200
        assert service.ask("POST", "/predict", b"no sound", **SOUND, **BEARER)[0] == 422
        yield service


@pytest.fixture(scope="module")
def samples(watched: Running) -> dict[str, set[str]]:
    """Return the labels of each series of the running service."""
    labels: dict[str, set[str]] = defaultdict(set)
    text = watched.ask("GET", "/metrics", **BEARER)[1].decode()
    for sample in (sample for family in text_string_to_metric_families(text) for sample in family.samples):
        labels[sample.name].update(sample.labels)
    return labels


def labels_in(query: str) -> set[str]:
    """Return the labels that a query selects by, groups by or joins on."""
    grouped = re.findall(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)", query)
    selected = re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", query)
    return {name.strip() for group in grouped for name in group.split(",")} | set(selected)


def names_in(query: str) -> set[str]:
    return set(re.findall(r"(?<![\w:$])(?:ser[_:][\w:]*|up)(?![\w:])", query))


@pytest.mark.service
@pytest.mark.parametrize("query", QUERIES)
def test_a_query_names_metrics_and_labels_that_exist(query, samples):
    names = names_in(query)
    assert names, "a query without a metric"
    assert names <= {*samples, *RECORDED, "up"}
    recorded = {"model", "quantity", "bin"} if names & RECORDED else set()
    known = {label for name in names for label in samples.get(name, ())}
    assert labels_in(query) <= known | recorded | ({"job"} if "up" in names else set())


@pytest.mark.service
def test_a_wrong_metric_is_detected(samples):
    """Show that the test above does not pass merely because nothing is parsed."""
    query = 'sum by (le, made_up) (rate(ser_request_seconds_bucket{route="/predict"}[5m])) / ser_nothing_total'
    assert names_in(query) == {"ser_request_seconds_bucket", "ser_nothing_total"}
    assert labels_in(query) == {"le", "made_up", "route"}
    assert "ser_nothing_total" not in samples and "le" in samples["ser_request_seconds_bucket"]


def test_values_that_queries_select_exist():
    vocabulary = {"route": ROUTES, "code": CODES, "reason": REASONS, "uncertain": ("true", "false")}
    for label, known in vocabulary.items():
        named = [re.findall(rf"\b{label}\s*(?:=~|!=|=)\s*\"([^\"]+)\"", query) for query in QUERIES]
        values = {value for texts in named for text in texts for value in text.split("|")}
        assert values <= set(known), label


# --- The dashboard ---


def test_emotions_have_the_colours_of_the_page():
    shown = [panel for panel in DASHBOARD["panels"] if "targets" in panel]
    panels = [panel for panel in shown if panel["targets"][0]["legendFormat"] == "{{label}}"]
    assert len(panels) == 3
    for panel in panels:
        overrides = panel["fieldConfig"]["overrides"]
        shown = {
            override["matcher"]["options"]: override["properties"][0]["value"]["fixedColor"] for override in overrides
        }
        assert shown == COLOURS


def test_grafana_finds_its_source_and_its_dashboard():
    (source,) = loaded(DEPLOY / "grafana/provisioning/datasources/prometheus.yaml")["datasources"]
    assert all(panel["datasource"]["uid"] == source["uid"] for panel in DASHBOARD["panels"] if "targets" in panel)
    assert source["url"] == "http://prometheus:9090" and "prometheus" in COMPOSE
    (provider,) = loaded(DEPLOY / "grafana/provisioning/dashboards/ser.yaml")["providers"]
    mounted = [volume.split(":")[1] for volume in COMPOSE["grafana"]["volumes"]]
    assert provider["options"]["path"] in mounted


# --- Prometheus ---


@pytest.mark.service
def test_promtool_accepts_rules_and_configuration():
    promtool, folder = tool("promtool"), DEPLOY / "prometheus"
    passes(promtool, "check", "config", "--syntax-only", folder / "prometheus.yml")
    assert f"{len(RULES)} rules found" in passes(promtool, "check", "rules", folder / "rules.yml")


@pytest.mark.service
def test_every_alert_fires_exactly_when_it_should():
    folder = DEPLOY / "prometheus"
    assert "SUCCESS" in passes(tool("promtool"), "test", "rules", "rules.test.yml", cwd=folder)
    tried = {case["alertname"] for test in loaded(folder / "rules.test.yml")["tests"]
             for case in test.get("alert_rule_test", []) if "exp_alerts" in case}  # fmt: skip
    assert tried == {rule["alert"] for rule in RULES if "alert" in rule}


@pytest.mark.service
def test_queries_of_the_dashboard_are_promql(tmp_path):
    rules = [{"record": f"query:{i}", "expr": query} for i, query in enumerate(QUERIES)]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "queries", "rules": rules}]}))
    assert f"{len(QUERIES)} rules found" in passes(tool("promtool"), "check", "rules", tmp_path / "rules.yml")


@pytest.mark.service
def test_prometheus_scrapes_a_service_with_a_key_as_in_the_compose_file(watched, tmp_path):
    """Configuration, shell entry point and key are those of the compose file; only paths differ."""
    port = free_port()
    shutil.copytree(DEPLOY / "prometheus", tmp_path / "etc")
    config = tmp_path / "etc" / "prometheus.yml"
    text = config.read_text(encoding="utf-8").replace(TARGET, f"127.0.0.1:{watched.port}")
    config.write_text(text.replace("/tmp/", f"{tmp_path}/").replace("15s", "1s"), encoding="utf-8")
    shell, flag, line, name = COMPOSE["prometheus"]["entrypoint"]
    line = line.replace("$$", "$").replace("/tmp/", f"{tmp_path}/")
    options = [option.replace("/etc/prometheus", str(tmp_path / "etc")) for option in COMPOSE["prometheus"]["command"]]
    options = [option.replace("path=/prometheus", f"path={tmp_path}/data") for option in options]
    command = [shell, flag, line, name, *options, f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]
    tool("prometheus")
    with subprocess.Popen(command, env={**os.environ, "SER_API_KEY": KEY}) as process:
        try:
            assert wait_for(lambda: ask(port, "ser_answers_total"), process)
            assert ask(port, 'up{job="ser"}')[0]["value"][1] == "1"
            assert [query for query in QUERIES if ask(port, query) is None] == []
        finally:
            process.terminate()


def ask(port: int, query: str) -> list[dict[str, Any]] | None:
    """Return the result of a query; None if Prometheus refuses it or does not listen yet."""
    url = f"http://127.0.0.1:{port}/api/v1/query?query={urllib.parse.quote(query)}"
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return json.load(response)["data"]["result"]
    except OSError:
        return None
