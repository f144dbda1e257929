"""Asynchronous changes of many codes' metadata. No code is made by them."""

from collections.abc import Iterable
from typing import Any

from campaigns.handlers import VOUCHER, update_voucher
from contracts import ids
from contracts.campaigns import UpdateVoucher, VouchersBulkAdvanced, VouchersBulkStarted
from contracts.errors import JsonObject
from contracts.payload import refuse
from runtime.aggregate import Aggregate
from runtime.bulk import Bulk, Kind
from runtime.unit import Unit


async def change_metadata(unit: Unit, body: JsonObject) -> None:
    """Merge metadata into a code that is there."""
    code = body.get("code")
    if not isinstance(code, str) or not code:
        raise refuse("code", "must be a string that is not empty")
    changes = {"metadata": body.get("metadata") or {}}
    await update_voucher(unit, UpdateVoucher(code=code, changes=changes))


def _streams(project_id: str, body: JsonObject) -> Iterable[tuple[Aggregate[Any], str]]:
    if isinstance(body.get("code"), str):
        yield VOUCHER, ids.voucher_id(project_id, body["code"])


BULK = Bulk(
    "campaigns",
    VouchersBulkStarted,
    VouchersBulkAdvanced,
    {
        "VOUCHERS.BULK_UPDATE": Kind(change_metadata, _streams),
        "VOUCHERS.METADATA_UPDATE": Kind(change_metadata, _streams),
    },
)
