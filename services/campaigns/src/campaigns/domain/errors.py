"""Refusals that only this service knows, with the public API's keys."""

from typing import ClassVar

from contracts.errors import DomainError, DuplicateFound, InvalidPayload, NotFound


class InvalidCampaign(DomainError):
    """The campaign cannot do what was asked."""

    key: ClassVar[str] = "invalid_campaign"
    message: ClassVar[str] = "Invalid Campaign"


class InvalidVoucher(DomainError):
    """The voucher cannot do what was asked."""

    key: ClassVar[str] = "invalid_voucher"
    message: ClassVar[str] = "Invalid Voucher"


class ResourceInUse(DomainError):
    """The resource cannot be deleted while another names it."""

    key: ClassVar[str] = "resource_in_use"
    message: ClassVar[str] = "Resource in use"


class InvalidValidationRules(DomainError):
    """A validation rule is malformed, or the engine cannot evaluate it."""

    key: ClassVar[str] = "invalid_validation_rules"
    message: ClassVar[str] = "Invalid Validation Rule Definition"


def broken_rule(path: str, reason: str) -> InvalidValidationRules:
    """Return the refusal of the part of a validation rule at ``path``."""
    return InvalidValidationRules(f"{path}: {reason}", prop=path)


def unsupported(path: str, what: str) -> InvalidPayload:
    """Return the refusal of something that the public API has and this version does not."""
    return InvalidPayload(f"{path}: {what} is not supported yet", prop=path)


def not_found(resource_type: str, name: str, by: str = "id") -> NotFound:
    """Return the refusal of an unknown resource, in the words of the public API."""
    return NotFound(
        f"Cannot find {resource_type} with {by} {name}",
        resource_id=name,
        resource_type=resource_type,
    )


def duplicate(resource_type: str, by: str, name: str) -> DuplicateFound:
    """Return the refusal of a name or code that is taken."""
    return DuplicateFound(
        f"Duplicated {resource_type} exists with {by} {name}",
        resource_id=name,
        resource_type=resource_type,
    )
