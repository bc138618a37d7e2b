"""chat.core.own: what of a prompt its visitor has sent before."""

from chat.core.own import Own
from chat.core.shares import Account

ANN, BOB = (Account("ann"),), (Account("address"), Account("bob"))


def test_it_is_what_prompt_and_reply_of_that_conversation_began_with() -> None:
    own = Own()
    assert own.shared(ANN, "rain", [1, 2, 3]) == 0
    own.keep(ANN, "rain", [1, 2, 3, 4])
    assert own.shared(ANN, "rain", [1, 2, 3, 4, 5]) == 4
    assert own.shared(ANN, "rain", [1, 2, 9, 4]) == 2
    assert own.shared(ANN, "rain", [1, 2]) == 2
    assert own.shared(ANN, "snow", [1, 2]) == 0
    assert own.shared(BOB, "rain", [1, 2]) == 0
    assert own.shared((), "rain", [1, 2]) == 0


def test_the_last_prompt_counts() -> None:
    own = Own()
    own.keep(BOB, "rain", [1, 2, 3])
    own.keep(BOB, "rain", [1, 5])
    assert own.shared(BOB, "rain", [1, 2, 3]) == 1


def test_it_takes_no_more_than_so_many_bytes() -> None:
    own = Own(1000)
    own.keep(ANN, "rain", [1] * 200)
    own.keep(ANN, "snow", [2] * 200)
    assert own.shared(ANN, "rain", [1]) == 0
    assert own.shared(ANN, "snow", [2]) == 1
    own.keep(ANN, "snow", [3] * 1000)
    assert own.shared(ANN, "snow", [2]) == 1
