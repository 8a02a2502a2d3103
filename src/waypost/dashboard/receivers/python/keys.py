"""The public keys of an endpoint, for signatures of the kind v1a: they can check a request and sign none."""

import json
from urllib.parse import urlencode
from urllib.request import urlopen


def public_keys(waypost_url, endpoint_id, account="default"):
    """Give the `whpk_…` keys that the endpoint signs with now; two of them while they are rotated.

    Keep them for some minutes, and fetch them anew when no signature fits.
    """
    query = urlencode({"account": account, "endpoint": endpoint_id})
    with urlopen(f"{waypost_url}/.well-known/waypost/keys.json?{query}", timeout=10) as answer:  # noqa: S310 - your own address
        return [key["public_key"] for key in json.load(answer)["keys"]]
