"""The five-minute tour does what it says, command by command."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.builders import ROOT
from docs.services import a_free_port, a_service

TOUR = ROOT / "docs" / "tutorial" / "tour.md"
# In the tour one sleeps a second until the receiver has heard; here one waits until it has, for ten seconds at most.
WAIT = """
set -e
told=0
sleep() {
  told=$((told + 1)); lines=$([ $told = 1 ] && echo 2 || echo 5)
  for _ in $(seq 200); do [ "$(wc -l < heard.txt)" -ge "$lines" ] && return; command sleep 0.05; done
  return 1
}
python3() { exec PYTHON "$@"; }
trap 'kill $(jobs -p) 2> /dev/null || true' EXIT
"""
HEARD = """\
1 SO-1001 shipment.created
2 SO-1001 shipment.status.booked
3 SO-1001 shipment.updated
4 SO-1001 tracking.event_recorded
5 SO-1001 shipment.status.collected
"""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[int]:
    """The service, started as the tour does it; gives its port."""
    with a_service(tmp_path, WAYPOST_EGRESS_ALLOW="127.0.0.0/8") as port:
        yield port


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("bash")), reason="curl or bash is not on this machine")
def test_the_tour_works_as_written(service: int, tmp_path: Path) -> None:
    blocks = re.findall(r"```bash\n(.*?)```", TOUR.read_text(encoding="utf-8"), re.DOTALL)
    script = (WAIT + "\n".join(blocks)).replace("8484", str(service)).replace("8585", str(a_free_port()))
    done = subprocess.run(
        ["bash", "-c", script.replace("PYTHON", sys.executable)],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "heard.txt").read_text(encoding="utf-8") == HEARD
    assert "problems/" not in done.stdout
