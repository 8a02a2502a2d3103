from datetime import UTC, datetime

import msgspec
import pytest

from waypost.demo.orders import ORDERS
from waypost.demo.story import (
    ENDS,
    Book,
    Cancel,
    CarrierMessage,
    Change,
    Scan,
    ShopComesBack,
    ShopGoesDown,
    reference,
    story,
)

NOW = datetime(2026, 12, 1, 9, 30, tzinfo=UTC)


def test_the_story_is_data_that_is_the_same_each_time():
    assert story(NOW) == story(NOW)
    assert msgspec.json.encode(story(NOW))


def test_twelve_shipments_are_booked_and_each_has_an_end():
    booked = [step.reference for step in story(NOW) if isinstance(step, Book)]
    assert booked == [reference(order.number) for order in ORDERS]
    assert len(booked) == 12
    assert set(ENDS) == {order.number for order in ORDERS}


def test_the_shop_dies_in_the_middle_and_comes_back_with_reports_between():
    kinds = [type(step) for step in story(NOW)]
    down, back = kinds.index(ShopGoesDown), kinds.index(ShopComesBack)
    assert len(kinds) * 0.2 < down < back < len(kinds) * 0.8
    assert back - down > 5


def test_everything_in_the_story_has_happened_when_it_is_played():
    text = msgspec.json.encode([step for step in story(NOW) if isinstance(step, Scan | CarrierMessage)]).decode()
    assert "2026-11-2" in text
    assert "2026-12" not in text


def test_another_round_tells_of_other_shipments_with_other_numbers():
    first, second = msgspec.json.encode(story(NOW, 1)).decode(), msgspec.json.encode(story(NOW, 2)).decode()
    for number in range(1, 13):
        assert reference(number, 1) not in second
        assert reference(number, 2) not in first
    assert "000177000008" in first
    assert "000177000008" not in second


@pytest.mark.parametrize("kind", [Book, Change, Scan, Cancel, CarrierMessage])
def test_the_story_uses_every_kind_of_report(kind):
    assert any(isinstance(step, kind) for step in story(NOW))
