"""A voucher and its campaign, read together."""

from contracts.campaigns import Campaign, Voucher, VoucherDefinition


def effective_definition(voucher: Voucher, campaign: Campaign | None) -> VoucherDefinition:
    """Return what the voucher is now: its own definition, or its campaign's template."""
    if voucher.definition is not None:
        return voucher.definition
    assert campaign is not None, f"voucher {voucher.id} has neither definition nor campaign"
    assert campaign.voucher is not None, f"campaign {campaign.id} has vouchers but no template"
    return campaign.voucher


def definition_version(voucher: Voucher, campaign: Campaign | None) -> int:
    """Return a version that grows with every change of the effective definition.

    A voucher that inherits has its campaign's version; one with a definition of its own adds its own
    version on top, so that the number also grows in the moment it gets one.
    """
    inherited = campaign.version if campaign is not None else 0
    return inherited + (voucher.version if voucher.definition is not None else 0)
