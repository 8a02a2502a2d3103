"""Reads one captured request a line and says for each whether the guide's Python takes it."""

import base64
import json
import runpy
import sys

guide = runpy.run_path(sys.argv[1])
for line in sys.stdin:
    request = json.loads(line)
    try:
        event = guide["verify"](
            base64.b64decode(request["body"]), request["headers"], request["secret"], now=request["now"]
        )
        print("event", event["id"])
    except guide["SignatureError"] as error:
        print("refused:", error)
