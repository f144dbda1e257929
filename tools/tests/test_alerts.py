"""Alert rules name metrics that exist, and each has its section in the runbook."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
RULES = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yml").read_text())
ALERTS: list[Any] = [alert for group in RULES["groups"] for alert in group["rules"]]
SOURCES = [
    path.read_text()
    for path in (ROOT / "libs" / "runtime" / "src" / "runtime" / "metrics.py",
                 ROOT / "services" / "gateway" / "src" / "gateway" / "http.py")
]  # fmt: skip
METRICS = {
    name: set(re.findall(r'"(\w+)"', labels))
    for source in SOURCES
    for name, labels in re.findall(
        r'(?:Counter|Gauge|Histogram)\(\s*"(\w+)",[^\[\)]*(?:\[([^\]]*)\])?', source
    )
}


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: str(alert["alert"]))
def test_an_alert_asks_for_what_is_measured(alert: Any) -> None:
    named = re.findall(r"(tessera_\w+)(?:\{([^}]*)\})?", alert["expr"])
    assert named or alert["alert"] == "ServiceDown"
    for metric, labels in named:
        assert metric in METRICS, metric
        assert set(re.findall(r"(\w+)(?:=|!)", labels)) <= METRICS[metric], labels


def test_the_runbook_has_a_section_for_each_alert() -> None:
    headings = re.findall(r"^## (\w+)$", (ROOT / "docs" / "runbook.md").read_text(), re.MULTILINE)
    assert headings == [alert["alert"] for alert in ALERTS]
