"""Refusals of publications."""

from contracts.errors import DomainError


class MissingVouchers(DomainError):
    """The request names neither a campaign nor a voucher."""

    key = "missing_vouchers"
    message = "Missing vouchers"


class TooManyVouchersRequested(DomainError):
    """A publication with a ``source_id`` is of one voucher."""

    key = "too_many_vouchers_requested"
    message = "Too many vouchers requested"


class NoVoucherSuitable(DomainError):
    """Every code of the campaign is published or inactive, or the named one is inactive."""

    key = "no_voucher_suitable_for_publication"
    message = "Couldn't find any voucher suitable for publication"


class VoucherAlreadyPublished(DomainError):
    """A unique code belongs to the customer who got it first."""

    key = "voucher_already_published"
    message = "Voucher already published"


class VoucherCannotBePublished(DomainError):
    """A customer has one card of a loyalty program."""

    key = "voucher_cannot_be_published"
    message = "Voucher cannot be published"


class DuplicateSourceId(DomainError):
    """Another publication has this ``source_id``."""

    key = "duplicate_source_id"
    message = "Duplicate source_id"
