"""A gate as JUnit XML, for a CI."""

from __future__ import annotations

from xml.etree.ElementTree import Element, SubElement, indent, tostring

from ..decisions.gate import GateReport
from ..decisions.gate_rules import Status


def junit(report: GateReport) -> str:
    """A suite with one case per benchmark: a breach fails, what is undecided is an error, and what
    is advisory is skipped where it does not pass."""
    suite = Element("testsuite", name="nel gate", tests=str(len(report.benchmarks) + 1))
    counts = {"failures": 0, "errors": 0, "skipped": 0}
    for item in report.benchmarks:
        case = SubElement(suite, "testcase", classname=f"gate.{item.tier}", name=item.benchmark)
        if item.status is Status.PASS:
            continue
        if not item.decides:
            tag, count = "skipped", "skipped"
        elif item.status is Status.INSUFFICIENT_EVIDENCE:
            tag, count = "error", "errors"
        else:
            tag, count = "failure", "failures"
        counts[count] += 1
        text = "; ".join(item.reasons)
        SubElement(case, tag, message=f"{item.status}: {text}", type=item.status.value)
    # The verdict itself: a policy under which nothing was evaluated must not look green.
    case = SubElement(suite, "testcase", classname="gate", name="verdict")
    if report.verdict != "GO":
        tag, count = ("failure", "failures") if report.verdict == "NO-GO" else ("error", "errors")
        counts[count] += 1
        message = f"{report.verdict}: {'; '.join(report.reasons)}"
        SubElement(case, tag, message=message, type=report.verdict.value)
    for name, number in counts.items():
        suite.set(name, str(number))
    root = Element("testsuites")
    root.append(suite)
    indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{tostring(root, encoding="unicode")}\n'
