"""The errors that a command or request may be answered with.

They are part of what services say to each other, and their shape is the public API's, so they stand
beside the messages. Not for programmer errors: those are assertions, and never reach a client.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict


class ErrorBody(BaseModel):
    """An error in the shape of the public API, without the request's id (the gateway adds it).

    Shape: Voucherify API v1, ``Error`` of openapi.json; ``code`` is the HTTP status.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: int
    key: str
    message: str
    details: str | None = None
    resource_id: str | None = None
    resource_type: str | None = None
    error: dict[str, str] | None = None
    """``{"message": …}``: the merchant's own text of a validation rule."""


class DomainError(Exception):
    """A rule of the domain refuses the command: an expected answer, never a fault.

    Subclasses set the class attributes; ``details`` says which property or resource it was, and
    ``prop`` is the path of the property alone, for ``intake.rejected``.
    """

    status: ClassVar[int] = 400
    key: ClassVar[str] = "invalid_payload"
    message: ClassVar[str] = "Invalid payload"

    def __init__(
        self,
        details: str | None = None,
        *,
        resource_id: str | None = None,
        resource_type: str | None = None,
        custom_message: str | None = None,
        prop: str | None = None,
    ) -> None:
        super().__init__(details or self.message)
        self.prop = prop
        self.details = details
        self.resource_id = resource_id
        self.resource_type = resource_type
        self.custom_message = custom_message

    def body(self) -> ErrorBody:
        """Return the answer that the client gets."""
        return ErrorBody(
            code=self.status,
            key=self.key,
            message=self.message,
            details=self.details,
            resource_id=self.resource_id,
            resource_type=self.resource_type,
            error={"message": self.custom_message} if self.custom_message else None,
        )


class InvalidPayload(DomainError):
    """A property of the request's body is missing, of the wrong type or out of range."""


class InvalidQueryParams(DomainError):
    """A query parameter is unknown or malformed."""

    key = "invalid_query_params"
    message = "Invalid query params"


class NotFound(DomainError):
    """The addressed resource is not in this project."""

    status = 404
    key = "not_found"
    message = "Resource not found"

    @classmethod
    def of(cls, resource_type: str, resource_id: str) -> "NotFound":
        """Return the error with the wording of the public API."""
        return cls(
            f"Cannot find {resource_type} with id {resource_id}",
            resource_id=resource_id,
            resource_type=resource_type,
        )


class DuplicateFound(DomainError):
    """A unique name or code is already taken."""

    status = 409
    key = "duplicate_found"
    message = "Duplicated resource found"


class ResourceInUse(DomainError):
    """The resource cannot be deleted or changed while others name it."""

    key = "resource_in_use"
    message = "Resource in use"

    @classmethod
    def of(
        cls, resource_type: str, resource_id: str, user_type: str, user_ids: Sequence[str]
    ) -> "ResourceInUse":
        """Return the error that names those who use it, the first few of them."""
        shown = ", ".join(user_ids[:USERS_SHOWN_MAX])
        return cls(
            f"Resource {resource_type} with id {resource_id} is in use by {user_type}"
            f" with ids [{shown}]",
            resource_id=resource_id,
            resource_type=resource_type,
        )


USERS_SHOWN_MAX = 10
"""Ids that the refusal of a deletion names."""


class IdempotencyKeyReused(DomainError):
    """The key was used before, by another request."""

    status = 409
    key = "idempotency_key_reused"
    message = "Idempotency key reused"

    def __init__(self) -> None:
        super().__init__(
            "This Idempotency-Key was used with another body or operation; use a new key."
        )


class Unavailable(Exception):
    """The request cannot be served now and may be repeated as it is: 503 with Retry-After."""

    status: ClassVar[int] = 503
    key: ClassVar[str] = "service_unavailable"
    message: ClassVar[str] = "Service temporarily unavailable"

    def __init__(self, reason: str, *, retry_after_s: int = 1) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s

    def body(self) -> ErrorBody:
        """Return the answer that the client gets."""
        return ErrorBody(
            code=self.status, key=self.key, message=self.message, details=str(self) or None
        )


class StorageFull(Unavailable):
    """There is no room left to store anything; the request has its effect when there is.

    Repeated with its key it finds its answer then. What is stored can be read meanwhile.
    """

    key = "storage_full"
    message = "No storage left"


JsonObject = dict[str, Any]
"""An object of the public API that passes through a service unread."""
