"""Commands and events of products and SKUs, owned by the catalog."""

from datetime import datetime
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from contracts.bulk import BulkAdvanced, BulkPart, BulkStarted
from contracts.errors import JsonObject
from contracts.messages import Command, Event


class Product(BaseModel):
    """A product, with the public API's field names; ``price`` in minor units."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    source_id: str | None = None
    name: str | None = None
    price: int | None = None
    attributes: list[str] = []
    metadata: JsonObject = {}
    image_url: str | None = None
    created_at: datetime
    updated_at: datetime | None = None


class Sku(BaseModel):
    """A stock keeping unit of a product; ``price`` in minor units of ``currency``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    product_id: str
    source_id: str | None = None
    sku: str | None = None
    price: int | None = None
    currency: str | None = None
    attributes: JsonObject = {}
    image_url: str | None = None
    metadata: JsonObject = {}
    created_at: datetime
    updated_at: datetime | None = None


class ProductCollection(BaseModel):
    """A set of products and SKUs: those that are listed, or those that the filter holds of."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    name: str
    type: Literal["STATIC", "AUTO_UPDATE"]
    filter: JsonObject | None = None
    products: list[JsonObject] = []
    """``{"id", "object": "product" | "sku", "product_id"}`` of a static one."""
    created_at: datetime
    updated_at: datetime | None = None


class UpsertProduct(Command):
    """Create a product, or update the one with this ``source_id`` (or ``product_id``)."""

    TYPE: ClassVar[str] = "catalog.upsert-product.v1"
    product_id: str
    """Derived from ``source_id`` where there is one, else drawn by the sender."""
    changes: JsonObject
    """The fields that were sent: source_id, name, price, attributes, metadata, image_url."""
    must_exist: bool = False
    """Update only: 404 when it does not exist."""


class UpsertSku(Command):
    """Create a SKU of a product, or update it."""

    TYPE: ClassVar[str] = "catalog.upsert-sku.v1"
    sku_id: str
    product_id: str
    changes: JsonObject
    must_exist: bool = False


class DeleteProduct(Command):
    """Delete a product with its SKUs."""

    TYPE: ClassVar[str] = "catalog.delete-product.v1"
    product_id: str


class DeleteSku(Command):
    TYPE: ClassVar[str] = "catalog.delete-sku.v1"
    sku_id: str
    product_id: str


class CreateProductCollection(Command):
    TYPE: ClassVar[str] = "catalog.create-product-collection.v1"
    collection_id: str
    definition: JsonObject
    """``type``, ``name``, and ``products`` or ``filter``."""


class UpdateProductCollection(Command):
    """Change the fields that were sent: the name, and the filter of one that updates itself."""

    TYPE: ClassVar[str] = "catalog.update-product-collection.v1"
    collection_id: str
    changes: JsonObject


class DeleteProductCollection(Command):
    TYPE: ClassVar[str] = "catalog.delete-product-collection.v1"
    collection_id: str


class ProductCreated(Event):
    TYPE: ClassVar[str] = "catalog.product-created.v1"
    product: Product


class ProductUpdated(Event):
    TYPE: ClassVar[str] = "catalog.product-updated.v1"
    product: Product


class SkuCreated(Event):
    TYPE: ClassVar[str] = "catalog.sku-created.v1"
    sku: Sku


class SkuUpdated(Event):
    TYPE: ClassVar[str] = "catalog.sku-updated.v1"
    sku: Sku


class ProductDeleted(Event):
    """A product that is created again under its ``source_id`` gets the same id."""

    TYPE: ClassVar[str] = "catalog.product-deleted.v1"
    product_id: str


class SkuDeleted(Event):
    TYPE: ClassVar[str] = "catalog.sku-deleted.v1"
    sku_id: str
    product_id: str


class ProductCollectionCreated(Event):
    TYPE: ClassVar[str] = "catalog.product-collection-created.v1"
    collection: ProductCollection


class ProductCollectionUpdated(Event):
    TYPE: ClassVar[str] = "catalog.product-collection-updated.v1"
    collection: ProductCollection


class ProductCollectionDeleted(Event):
    """The last event of a collection's stream."""

    TYPE: ClassVar[str] = "catalog.product-collection-deleted.v1"
    collection_id: str


class IntakeRejected(Event):
    """A message of an upstream system could not be taken; published on ``intake.rejected``."""

    TYPE: ClassVar[str] = "intake.rejected.v1"
    topic: str
    partition: int
    offset: int
    index: int = 0
    """Which element of a batch it was."""
    reason: str
    property: str | None = None
    raw: str
    """The refused element, as text, cut at 10,000 characters."""


class ChangeProductsInBulk(BulkPart):
    TYPE: ClassVar[str] = "catalog.change-products-in-bulk.v1"


class ProductsBulkStarted(BulkStarted):
    TYPE: ClassVar[str] = "catalog.products-bulk-started.v1"


class ProductsBulkAdvanced(BulkAdvanced):
    TYPE: ClassVar[str] = "catalog.products-bulk-advanced.v1"
