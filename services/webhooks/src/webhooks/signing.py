"""Both signatures of a webhook: Standard Webhooks by the endpoint's secret, and the public API's own."""

import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime

from standardwebhooks import Webhook


def signed_headers(
    body: bytes,
    *,
    message_id: str,
    at: datetime,
    endpoint_secrets: Sequence[str],
    project_secret: str,
) -> dict[str, str]:
    """Return the headers of one attempt. ``body`` is JSON without insignificant whitespace.

    Every secret of the endpoint signs: after a rotation the subscriber may still have the old one.
    """
    text = body.decode()
    signatures = [Webhook(secret).sign(message_id, at, text) for secret in endpoint_secrets]
    return {
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
        "x-voucherify-signature": project_signature(project_secret, body),
    }


def project_signature(secret: str, body: bytes) -> str:
    """Return the lowercase hex HMAC-SHA256 of the body."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
