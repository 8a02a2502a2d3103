"""An event as a CloudEvent, in the structured mode: its JSON is the whole body of the request.

Source: CloudEvents 1.0.2, the specification, its JSON format, and its extensions `partitionkey` and `sequence`.
"""

import msgspec

CONTENT_TYPE = "application/cloudevents+json"
BATCH_CONTENT_TYPE = "application/cloudevents-batch+json"

Object = dict[str, msgspec.Raw]

_read = msgspec.json.Decoder(Object).decode
_text = msgspec.json.Decoder(str).decode
_write = msgspec.json.Encoder().encode
_NULL = msgspec.Raw(b"null")


def structured(rendered: bytes) -> bytes:
    """Give the CloudEvent of an event that was rendered. Its `data` is the event's, byte for byte.

    `source` names the account; `subject` is the reference of the shipment, else the key of an event about none. What
    else the envelope holds stands in extension attributes, whose names CloudEvents wants in lower case. Numbers are
    texts: its integers end at 32 bits.
    """
    event = _read(rendered)
    is_about_shipment = event["shipment_id"] != _NULL
    subject = event["reference" if is_about_shipment else "key"]
    attributes: dict[str, object] = {
        "specversion": "1.0",
        "id": event["id"],
        "source": f"/waypost/accounts/{_text(event['account_id'])}",
        "type": event["type"],
        "subject": subject,
        "time": event["timestamp"],
        "datacontenttype": "application/json",
        "partitionkey": event["shipment_id"] if is_about_shipment else subject,
        "sequence": bytes(event["sequence"]).decode(),
        "position": bytes(event["position"]).decode(),
        "accountid": event["account_id"],
        "recordedat": event["recorded_at"],
        "apiversion": event["api_version"],
        "test": event["test"],
    }
    if is_about_shipment:
        attributes["shipmentid"] = event["shipment_id"]
    return _write(attributes | {"data": event["data"]})
