"""Bodies of ``multipart/form-data``: the fields of a form, among them an uploaded file."""

import re

from contracts.errors import InvalidPayload, JsonObject
from gateway import limits

BOUNDARY = re.compile(r'boundary="?([0-9A-Za-z\'()+_,./:=? -]{1,70})"?')
NAME = re.compile(r'[ ;]name="([^"\r\n]{1,100})"')
HEADERS_BYTES_MAX = 8_192


def parse_form(raw: bytes, content_type: str) -> JsonObject:
    """Return the form's fields as text; a field that is sent twice is refused."""
    found = BOUNDARY.search(content_type)
    if found is None:
        raise InvalidPayload("The body is no form: Content-Type names no boundary")
    delimiter = b"\r\n--" + found[1].encode()
    parts = (b"\r\n" + raw).split(delimiter, limits.FORM_FIELDS_MAX + 2)
    if len(parts) > limits.FORM_FIELDS_MAX + 2 or not parts[-1].startswith(b"--"):
        raise InvalidPayload(
            f"The body is no form of at most {limits.FORM_FIELDS_MAX} fields that ends with its boundary"
        )
    fields: JsonObject = {}
    for part in parts[1:-1]:
        name, value = _field(part)
        if name in fields:
            raise InvalidPayload(f"{name}: must be sent once", prop=name)
        fields[name] = value
    return fields


def _field(part: bytes) -> tuple[str, str]:
    head, separator, content = part.partition(b"\r\n\r\n")
    told = head.decode("utf-8", "replace")
    name = NAME.search(told)
    if not separator or len(head) > HEADERS_BYTES_MAX or name is None:
        raise InvalidPayload("The body is no form: a field has no name")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidPayload(f"{name[1]}: must be UTF-8: {error.reason}", prop=name[1]) from None
    if "\x00" in text:
        raise InvalidPayload(f"{name[1]}: must not contain the character NUL", prop=name[1])
    return name[1], text
