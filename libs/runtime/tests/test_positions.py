"""Who waits for a read model: partitions may change hands while others' positions are looked up."""

import asyncio
from collections.abc import Iterable, Mapping

from contracts.messages import Position
from runtime.positions import Key, Positions


async def test_what_is_taken_away_during_the_look_at_others_is_not_there() -> None:
    positions = Positions()
    positions.owned({("ledger", 0): 200})
    looks: list[list[Key]] = []

    async def read_stored(keys: Iterable[Key]) -> Mapping[Key, int]:
        looks.append(list(keys))
        if len(looks) == 1:
            positions.lost([("ledger", 0)])
        return {("ledger", 0): 200 + len(looks) // 3, ("ledger", 1): 150}

    positions.read_stored = read_stored
    await asyncio.wait_for(
        positions.wait([Position("ledger", 0, 201), Position("ledger", 1, 150)], 10), 20
    )
    assert looks[0] == [("ledger", 1)]
    assert looks[1:] == [[("ledger", 0), ("ledger", 1)]] * 2, "asked until it was there"


async def test_whoever_waits_for_a_partition_that_goes_to_another_process_looks_there() -> None:
    positions = Positions()
    positions.owned({("ledger", 0): 200})

    async def read_stored(keys: Iterable[Key]) -> Mapping[Key, int]:
        return dict.fromkeys(keys, 201)

    positions.read_stored = read_stored
    waiting = asyncio.create_task(positions.wait([Position("ledger", 0, 201)], 10))
    await asyncio.sleep(0)
    positions.lost([("ledger", 0)])
    await asyncio.wait_for(waiting, 5)


async def test_what_becomes_ours_during_the_look_at_others_is_seen_at_once() -> None:
    positions = Positions()

    async def read_stored(keys: Iterable[Key]) -> Mapping[Key, int]:
        positions.owned({("ledger", 0): 201})
        return dict.fromkeys(keys, 200)

    positions.read_stored = read_stored
    await asyncio.wait_for(positions.wait([Position("ledger", 0, 201)], 10), 5)
