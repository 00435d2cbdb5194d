"""Schemas: examples that are valid answers."""

from __future__ import annotations

import pytest
from service_client import as_answer

from ser.service import schemas
from ser.types import EMOTIONS


def test_the_examples_of_every_schema_are_valid(described):
    components = described["components"]["schemas"]
    names = {"Adapted", "Answer", "Failed", "Health", "Model", "Problem", "Sex", "TimelineAnswer", "TimelineSegment"}
    assert set(components) == names
    for name, schema in components.items():
        model = getattr(schemas, name)
        assert schema["examples"]
        for example in schema["examples"]:
            assert model.model_validate(example).model_dump(mode="json") == example, name
            assert set(example) == set(schema["properties"]), name
        assert all("description" in field or name == "Sex" for field in schema["properties"].values()), name


def test_the_examples_are_consistent(described):
    components = described["components"]["schemas"]
    (answer,) = components["Answer"]["examples"]
    assert answer == as_answer(answer)
    assert answer["label"] == max(answer["probabilities"], key=answer["probabilities"].get)
    assert answer["confidence"] == answer["probabilities"][answer["label"]]
    (timeline,) = components["TimelineAnswer"]["examples"]
    for shares in (answer["probabilities"], answer["sex"], timeline["share"], timeline["segments"][0]["probabilities"]):
        assert sum(shares.values()) == pytest.approx(1)
    assert set(answer["probabilities"]) == set(timeline["share"]) == set(EMOTIONS)
