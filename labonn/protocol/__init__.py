"""How a protocol is run: its parameters, what it is handed, how its run is recorded, shown and ended."""

from labonn.protocol.lab import Lab
from labonn.protocol.planning import Plan, plan_protocol
from labonn.protocol.progress import Step
from labonn.protocol.result import Outcome, Result
from labonn.protocol.runtime import run_protocol
from labonn.protocol.script import Script, load_script, shipped_protocols

__all__ = [
    "Lab",
    "Outcome",
    "Plan",
    "Result",
    "Script",
    "Step",
    "load_script",
    "plan_protocol",
    "run_protocol",
    "shipped_protocols",
]
