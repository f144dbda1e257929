"""The day's data, made from a seed: the same catalogue, customers and orders every time."""

import random
from typing import Any

SEED = 20_261_124
CUSTOMERS = 200
ORDERS = 1_000

_KINDS = {
    "Shoes": ["Runner", "Loafer", "Trail boot", "Sandal", "Court shoe", "Slipper"],
    "Coats": ["Parka", "Trench coat", "Rain jacket", "Down vest", "Blazer"],
    "Bags": ["Backpack", "Tote", "Weekender", "Belt bag", "Briefcase"],
    "Home": ["Teapot", "Blanket", "Desk lamp", "Candle", "Cutting board", "Vase"],
}
_COLOURS = ["black", "sand", "forest", "navy"]
_FIRST = ["Ada", "Ben", "Chloé", "Dmitri", "Elif", "Femi", "Grete", "Hiro", "Inés", "Jonas"]
_LAST = [
    "Okafor",
    "Nguyen",
    "Schmidt",
    "Rossi",
    "Kowalska",
    "Haddad",
    "Larsen",
    "Silva",
    "O'Neil",
    "Brandt",
]
_CITIES = ["Berlin", "Lyon", "Porto", "Oslo", "Kraków", "Graz"]
_STATUSES = ["PAID", "PAID", "PAID", "FULFILLED", "CREATED", "CANCELED"]

Record = dict[str, Any]


def products() -> list[Record]:
    """Return the catalogue: every kind in every colour, prices in cents."""
    chance = random.Random(SEED)  # noqa: S311 - data of a demonstration
    found = []
    for department, names in _KINDS.items():
        for name in names:
            price = chance.randrange(900, 24_900, 50)
            skus = [
                {"source_id": f"{_slug(name)}-{colour}", "sku": f"{name} {colour}", "price": price}
                for colour in _COLOURS
            ]
            found.append(
                {
                    "source_id": _slug(name),
                    "name": name,
                    "price": price,
                    "metadata": {"department": department},
                    "skus": skus,
                }
            )
    return found


def customers() -> list[Record]:
    """Return the customers; one in five is a VIP."""
    chance = random.Random(SEED + 1)  # noqa: S311
    return [
        {
            "source_id": f"customer-{number:03}",
            "name": f"{chance.choice(_FIRST)} {chance.choice(_LAST)}",
            "email": f"customer-{number:03}@shop.example",
            "address": {"city": chance.choice(_CITIES)},
            "metadata": {"tier": "vip" if number % 5 == 0 else "regular"},
        }
        for number in range(CUSTOMERS)
    ]


def orders() -> list[Record]:
    """Return a year's orders: few customers buy often, most buy once or twice."""
    chance = random.Random(SEED + 2)  # noqa: S311
    catalogue = products()
    found = []
    for number in range(ORDERS):
        buyer = min(int(chance.paretovariate(1.1)) - 1, CUSTOMERS - 1)
        items = [
            {
                "source_id": chosen["source_id"],
                "related_object": "product",
                "quantity": chance.choice([1, 1, 1, 2, 3]),
                "price": chosen["price"],
            }
            for chosen in chance.sample(catalogue, chance.choice([1, 1, 2, 3, 4]))
        ]
        found.append(
            {
                "source_id": f"order-{number:04}",
                "status": chance.choice(_STATUSES),
                "amount": sum(item["price"] * item["quantity"] for item in items),
                "items": items,
                "customer": {"source_id": f"customer-{buyer:03}"},
            }
        )
    return found


def _slug(name: str) -> str:
    return name.lower().replace(" ", "-")
