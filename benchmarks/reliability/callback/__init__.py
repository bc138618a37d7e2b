"""Whatever a page may be sent, at its callback and at `Chat.reply`."""
