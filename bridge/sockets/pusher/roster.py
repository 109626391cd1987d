"""Roster: who is in a presence channel, as the text that confirms a subscription to it."""

from __future__ import annotations

from collections.abc import Mapping

from bridge.sockets.pusher import messages


class Roster:
    """Each member is encoded once: made anew after a change, the text is then two joins.
    Of a rush of members each gets a text of all before it."""

    __slots__ = ("_ids", "_infos", "_text")

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}  # user_id → its text among the ids,
        self._infos: dict[str, str] = {}  # and in the hash
        self._text: str | None = None

    def put(self, user_id: str, info: str | None) -> None:
        """Makes the user a member with this `info`; one who is a member already keeps its place."""
        key, text = messages.roster_entry(user_id, info)
        if self._infos.get(user_id) != text:
            self._ids[user_id], self._infos[user_id], self._text = key, text, None

    def drop(self, user_id: str) -> None:
        """Removes the user, who must be a member."""
        del self._ids[user_id], self._infos[user_id]
        self._text = None

    def replace(self, members: Mapping[str, str | None]) -> None:
        """Replaces the members: user_id → info."""
        self._ids, self._infos, self._text = {}, {}, None
        for user_id, info in members.items():
            self.put(user_id, info)

    def confirmation(self, channel: str) -> str:
        """The message for who subscribes; made once per change."""
        if self._text is None:
            self._text = messages.roster_succeeded(channel, self._ids.values(), self._infos.values())
        return self._text
