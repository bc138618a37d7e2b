"""What the scope of a request says of its visitor."""

from chat.core.shares import Visitor

#: Under which name it has them.
KEY = "visitor"


def logged_in(visitor: Visitor, login: str | None) -> Visitor:
    """Return the same visitor as they are counted once they are logged in."""
    if not (visitor and login):
        return visitor
    return (visitor[-1]._replace(name=f"login:{login}"),)
